"""One concept as sentence, picture and word cloud: responses, published maps, a testbed."""
