/* Choices of an explorer: shows one variant of a page's figure, caption, table and command.

   All variants are on the page. Before them go a place for the choices and, as JSON, what can be
   chosen; see brainalign/companion/site/explorer_section.py. No library, no request to the network. */

(function () {
  "use strict";

  // A name in the address: "#explore-scaling-law?study=testbed&voxels=all".
  function readAddress(id) {
    const [name, query] = window.location.hash.slice(1).split("?");
    return name === id && query ? new URLSearchParams(query) : null;
  }

  function addressOf(explorer, variant) {
    const query = new URLSearchParams();
    explorer.parameters.forEach(function (parameter, place) {
      if (variant.values[place] !== null) query.set(parameter.name, variant.values[place]);
    });
    return "#" + explorer.id + "?" + query.toString();
  }

  function element(name, properties, children) {
    const made = Object.assign(document.createElement(name), properties || {});
    made.append(...(children || []));
    return made;
  }

  // Variants that begin with these values; those that were not executed only where asked for.
  function beginningWith(explorer, values, executed) {
    return explorer.variants.filter(function (variant) {
      return (
        (variant.tag || !executed) &&
        values.every((value, place) => variant.values[place] === value)
      );
    });
  }

  // The variant nearest to what is wanted. Earlier parameters go first: a later one that does not
  // go with them takes the first value that does.
  function nearest(explorer, wanted) {
    const chosen = [];
    explorer.parameters.forEach(function (_, place) {
      const rest = beginningWith(explorer, chosen, true);
      const same = rest.find((variant) => variant.values[place] === wanted[place]);
      chosen.push((same || rest[0]).values[place]);
    });
    return beginningWith(explorer, chosen, true)[0];
  }

  function labelOf(explorer, variant) {
    const told = explorer.parameters.map(function (parameter, place) {
      const value = parameter.values.find((one) => one.value === variant.values[place]);
      return value && parameter.label + ": " + value.label;
    });
    return told.filter(Boolean).join("; ");
  }

  function makeFieldset(explorer, parameter, place, change) {
    const name = explorer.id + "-" + parameter.name;
    const fieldset = element("fieldset", {}, [
      element("legend", {}, [
        element("span", { className: "explore-name", textContent: parameter.label }),
        " ",
        element("span", { className: "explore-meaning", textContent: parameter.meaning }),
      ]),
    ]);
    parameter.values.forEach(function (value, number) {
      const id = name + "-" + number;
      const button = element("input", { type: "radio", id: id, name: name, value: value.value });
      button.addEventListener("change", () => change(place, value.value));
      const note = element("span", { className: "explore-note" });
      const label = element("label", { htmlFor: id }, [value.label, note]);
      fieldset.append(element("div", { className: "explore-choice" }, [button, label]));
    });
    return fieldset;
  }

  // What can be chosen beside the variant that is shown; the rest is disabled and says why.
  function updateFieldset(explorer, fieldset, place, shown) {
    const before = shown.values.slice(0, place);
    fieldset.disabled = shown.values[place] === null;
    fieldset.querySelectorAll("input").forEach(function (button) {
      const value = before.concat(button.value);
      const exists = beginningWith(explorer, value, false).length > 0;
      const executed = beginningWith(explorer, value, true).length > 0;
      button.disabled = !executed;
      button.checked = shown.values[place] === button.value;
      const note = fieldset.disabled || executed ? "" : exists ? "not executed here" : "not offered here";
      button.nextElementSibling.querySelector(".explore-note").textContent = note && " (" + note + ")";
    });
    let unused = fieldset.querySelector(".explore-unused");
    if (fieldset.disabled && !unused) {
      unused = element("p", { className: "explore-unused", textContent: "No choice here." });
      fieldset.append(unused);
    } else if (!fieldset.disabled && unused) {
      unused.remove();
    }
  }

  function cellsOf(variant) {
    return document.querySelectorAll("." + variant.tag + ", .tag_" + variant.tag);
  }

  function show(explorer, variant) {
    explorer.variants.forEach(function (other) {
      if (other.tag) cellsOf(other).forEach((cell) => { cell.hidden = other !== variant; });
    });
    explorer.fieldsets.forEach(function (fieldset, place) {
      updateFieldset(explorer, fieldset, place, variant);
    });
    explorer.link.href = addressOf(explorer, variant);
    explorer.shown = variant;
  }

  // After a change by the reader: said aloud, and kept in the address.
  function tell(explorer) {
    explorer.changed = true;
    explorer.status.textContent = "Shown: " + labelOf(explorer, explorer.shown) + ".";
    try {
      window.history.replaceState(null, "", addressOf(explorer, explorer.shown));
    } catch (error) {
      // Some browsers keep the address of a page that was opened from a file as it is.
    }
  }

  function followAddress(explorer) {
    const asked = readAddress(explorer.id);
    if (!asked) return;
    show(explorer, nearest(explorer, explorer.parameters.map((one) => asked.get(one.name))));
    explorer.box.scrollIntoView();
  }

  function start(box) {
    const content = JSON.parse(box.nextElementSibling.textContent);
    const explorer = Object.assign(content, { id: box.id, box: box });
    explorer.variants.filter((one) => one.tag).forEach(function (variant) {
      cellsOf(variant).forEach((cell) => cell.classList.add("explore-variant"));
    });
    explorer.status = element("p", { className: "explore-status" });
    explorer.status.setAttribute("role", "status");
    explorer.link = element("a", { textContent: "Link to this choice" });
    explorer.fieldsets = explorer.parameters.map(function (parameter, place) {
      return makeFieldset(explorer, parameter, place, function (changed, value) {
        const wanted = explorer.shown.values.slice();
        wanted[changed] = value;
        show(explorer, nearest(explorer, wanted));
        tell(explorer);
      });
    });
    const form = element("form", { className: "explore-form" }, [
      element("div", { className: "explore-fields" }, explorer.fieldsets),
      element("div", { className: "explore-foot" }, [explorer.status, explorer.link]),
    ]);
    form.setAttribute("aria-label", "Choose parameters");
    form.addEventListener("submit", (event) => event.preventDefault());
    box.append(form);
    show(explorer, nearest(explorer, []));
    followAddress(explorer);
    window.addEventListener("hashchange", () => followAddress(explorer));
    // Images above may have moved the place while they were loaded.
    window.addEventListener("load", () => explorer.changed || followAddress(explorer));
  }

  function startAll() {
    document.querySelectorAll(".brainalign-explorer").forEach(start);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", startAll);
  else startAll();
})();
