"""Chinese: words without inflection, written without spaces; what modifies comes first."""

from brainalign.studies.testbed.languages.language import (
    Language,
    Verb,
    marked_nouns,
    noun_classes,
)

# Each noun after its measure word.
_SCENE_OBJECTS = (
    "个 蘑菇, 个 松果, 个 树桩, 个 鸟窝, 条 树枝, 条 藤蔓, 个 蜂巢, 条 溪流",
    "个 锅, 把 勺子, 个 烤箱, 个 碗, 个 水壶, 个 盘子, 把 菜刀, 个 罐子",
    "条 船, 个 船锚, 张 渔网, 条 缆绳, 把 船桨, 个 码头, 个 木桶, 个 灯塔",
    "个 摊位, 个 硬币, 个 篮子, 个 天平, 条 围巾, 个 西瓜, 个 算盘, 个 招牌",
    "个 黑板, 把 尺子, 个 书包, 张 课桌, 张 试卷, 个 地球仪, 个 铃铛, 张 地图",
    "个 谷仓, 个 草堆, 个 水槽, 把 锄头, 把 铁锹, 个 稻草人, 把 镰刀, 个 风车",
    "个 塔楼, 把 宝剑, 个 王冠, 个 宝座, 个 盾牌, 个 火把, 个 吊桥, 张 弓",
    "条 绷带, 个 针头, 个 药瓶, 个 体温计, 张 病床, 个 口罩, 张 药方, 把 轮椅",
)
_OBJECTS = (
    "个 石头, 个 盒子, 个 袋子, 把 钥匙, 个 信封, 个 灯笼, 把 椅子, 张 桌子, 个 柜子, 个 花瓶, "
    "条 裤子, 个 帽子, 条 裙子, 只 鞋子, 个 戒指, 个 闹钟, 个 杯子, 张 照片, 条 毯子, 个 枕头, "
    "把 梯子, 个 轮子, 张 纸, 把 小刀, 个 玩具, 个 皮球, 把 扫帚, 把 刷子, 个 喇叭, 条 丝带, "
    "个 纽扣, 张 卡片, 张 邮票, 把 雨伞, 把 剪刀, 条 项链, 个 箱子, 个 风筝, 只 手套, 把 锁"
)
_ANIMATES = (
    "只 狗, 只 猫, 只 猴子, 只 兔子, 只 狐狸, 只 熊, 只 山羊, 只 鸭子, 只 乌鸦, 只 猫头鹰, "
    "个 农夫, 个 医生, 个 老师, 个 水手, 个 面包师, 个 士兵, 个 孩子, 个 国王, 个 王后, 个 商人, "
    "个 护士, 个 飞行员, 个 画家, 个 歌手, 个 舞者, 只 狼"
)


def _verbs(text: str) -> tuple[Verb, ...]:
    return tuple(Verb(form, form, form, form) for form in text.split())


CHINESE = Language(
    code="cn",
    name="Chinese",
    places=tuple("森林 厨房 港口 市场 学校 农场 城堡 诊所".split()),
    purposes=tuple("维修 保密 探险 美观 贸易 战争".split()),
    scene_objects=tuple(marked_nouns(text) for text in _SCENE_OBJECTS),
    objects=marked_nouns(_OBJECTS),
    goal_verbs=(
        _verbs("修理 修补 修复 翻新 整修 检修"),
        _verbs("隐藏 掩盖 掩埋 伪装 藏匿 遮盖"),
        _verbs("搜查 检查 探索 勘察 扫描 调查"),
        _verbs("装饰 粉刷 擦亮 美化 彩绘 点缀"),
        _verbs("运送 搬运 运输 托运 递送 取回"),
        _verbs("摧毁 打碎 压碎 砸坏 烧毁 拆除"),
    ),
    verbs=_verbs(
        "观察 触摸 跟随 赞美 推动 拉动 抬起 放下 踢开 清洗 打开 看守 借用 移动 清点 打扫 收集 展示 "
        "保护 使用 举起 转动 拍打 寻找"
    ),
    speech_verbs=_verbs("说 认为 知道"),
    motion_verbs=_verbs("去 来到"),
    names=tuple(
        zip(
            "美玲 建国 秀英 志强 丽华 国栋 晓燕 大伟 雅琴 文杰".split(),
            "fmfmfmfmfm",
            strict=True,
        )
    ),
    animates=tuple((noun, noun) for noun in marked_nouns(_ANIMATES)),
    adjectives=tuple(
        "老的 新的 小的 大的 高的 矮的 红色的 蓝色的 绿色的 白色的 黑色的 黄色的 快乐的 伤心的 "
        "安静的 吵闹的 沉重的 轻巧的 聪明的 勇敢的 懒惰的 害羞的 善良的 骄傲的 奇怪的 破旧的 "
        "干净的 肮脏的 柔软的 坚硬的 冰冷的 温暖的 明亮的 黑暗的 圆圆的 漂亮的".split()
    ),
    adverbs=tuple(
        "快速地 慢慢地 悄悄地 小心地 高兴地 难过地 轻轻地 大胆地 急切地 平静地 秘密地 认真地 "
        "热情地 匆忙地 仔细地 默默地 熟练地 耐心地 笨拙地 优雅地".split()
    ),
    prepositions=tuple("旁边 下面 后面 上面 前面 左边 右边 对面 附近 外面".split()),
    subordinators=tuple("因为 由于 虽然 尽管 既然 如果 即使 每当".split()),
    times=tuple("早晨 上午 中午 下午 傍晚 晚上 夜里 黎明 黄昏 清晨".split()),
    conjunctions=("而且", "但是", "所以"),
    relativisers=(("的", "的"),),
    determiners={
        "singular": (
            *("", "", "", ""),
            *("一个/一只/一条/一张/一把", "一个/一只/一条/一张/一把"),
            *("这个/这只/这条/这张/这把", "那个/那只/那条/那张/那把"),
        ),
        "plural": ("一些", "一些", "一些", "这些", "这些", "那些", "许多", "几个/几只"),
    },
    noun_class=noun_classes("个 只 条 张 把", [*_SCENE_OBJECTS, _OBJECTS, _ANIMATES]),
    function={
        "one": "一天",
        "by": "被",
        "in": "在",
        "inside": "里",
        "for": "为了",
        "and": "并",
        "ongoing": "正在",
        "done": "了",
        "subject f": "她",
        "subject m": "他",
    },
    order={
        "opening": ("time", "agent", "go", "done", "place", "goal"),
        "noun phrase": ("relative", "determiner", "adjective", "noun"),
        "active": ("agent", "prepositional", "ongoing", "adverb", "verb", "done", "patient"),
        "passive": (
            *("patient", "prepositional", "ongoing", "by", "agent"),
            *("adverb", "verb", "done"),
        ),
        "subject relative": ("verb", "patient", "relativiser"),
        "object relative": ("agent", "verb", "relativiser"),
        "prepositional": ("in", "noun phrase", "preposition"),
        "place": ("preposition", "noun", "inside"),
        "purpose": ("preposition", "noun"),
        "complement": ("agent", "verb", "clause"),
        "subordination": ("subordinate", "main"),
    },
    separator="",
    stop="。",
    comma="，",
)
