#include "examples/made_up/grammar.h"

#include <unordered_set>

#include "tensor/error.h"
#include "tensor/random.h"

namespace examples {

using namespace gradus;
using namespace gradus::data;

namespace {

struct Noun {
  const char *one, *many, *chinese, *measure;
  enum Kind { person, animal, food, drink, text, thing, vehicle } kind;
};
constexpr Noun nouns[] = {
    {"dog", "dogs", "狗", "只", Noun::animal},
    {"cat", "cats", "猫", "只", Noun::animal},
    {"bird", "birds", "鸟", "只", Noun::animal},
    {"horse", "horses", "马", "匹", Noun::animal},
    {"fish", "fish", "鱼", "条", Noun::animal},
    {"rabbit", "rabbits", "兔子", "只", Noun::animal},
    {"cow", "cows", "牛", "头", Noun::animal},
    {"teacher", "teachers", "老师", "位", Noun::person},
    {"student", "students", "学生", "个", Noun::person},
    {"doctor", "doctors", "医生", "位", Noun::person},
    {"friend", "friends", "朋友", "个", Noun::person},
    {"child", "children", "孩子", "个", Noun::person},
    {"woman", "women", "女人", "个", Noun::person},
    {"man", "men", "男人", "个", Noun::person},
    {"apple", "apples", "苹果", "个", Noun::food},
    {"egg", "eggs", "鸡蛋", "个", Noun::food},
    {"cake", "cakes", "蛋糕", "块", Noun::food},
    {"banana", "bananas", "香蕉", "根", Noun::food},
    {"tea", "teas", "茶", "杯", Noun::drink},
    {"coffee", "coffees", "咖啡", "杯", Noun::drink},
    {"juice", "juices", "果汁", "杯", Noun::drink},
    {"book", "books", "书", "本", Noun::text},
    {"letter", "letters", "信", "封", Noun::text},
    {"picture", "pictures", "画", "幅", Noun::thing},
    {"table", "tables", "桌子", "张", Noun::thing},
    {"chair", "chairs", "椅子", "把", Noun::thing},
    {"hat", "hats", "帽子", "顶", Noun::thing},
    {"shirt", "shirts", "衬衫", "件", Noun::thing},
    {"pen", "pens", "钢笔", "支", Noun::thing},
    {"flower", "flowers", "花", "朵", Noun::thing},
    {"car", "cars", "汽车", "辆", Noun::vehicle},
    {"bicycle", "bicycles", "自行车", "辆", Noun::vehicle},
    {"boat", "boats", "船", "艘", Noun::vehicle},
};

constexpr int64_t living_nouns = 14;  // the first of them

struct Verb {
  const char *base, *third, *past, *chinese;
  unsigned objects;  // kinds of noun that it takes, a bit each
};
constexpr unsigned bit(Noun::Kind kind) { return 1u << kind; }
constexpr unsigned any = 127, living = bit(Noun::person) | bit(Noun::animal), lifeless = any & ~living;
constexpr Verb verbs[] = {
    {"see", "sees", "saw", "看见", any},
    {"like", "likes", "liked", "喜欢", any},
    {"want", "wants", "wanted", "要", lifeless | bit(Noun::animal)},
    {"buy", "buys", "bought", "买", lifeless | bit(Noun::animal)},
    {"sell", "sells", "sold", "卖", lifeless | bit(Noun::animal)},
    {"find", "finds", "found", "找到", any},
    {"draw", "draws", "drew", "画", any},
    {"help", "helps", "helped", "帮助", living},
    {"know", "knows", "knew", "认识", bit(Noun::person)},
    {"eat", "eats", "ate", "吃", bit(Noun::food)},
    {"drink", "drinks", "drank", "喝", bit(Noun::drink)},
    {"carry", "carries", "carried", "拿", bit(Noun::thing) | bit(Noun::text) | bit(Noun::food)},
    {"drive", "drives", "drove", "开", bit(Noun::vehicle)},
    {"wash", "washes", "washed", "洗", any & ~bit(Noun::drink) & ~bit(Noun::text)},
    {"feed", "feeds", "fed", "喂", bit(Noun::animal)},
    {"read", "reads", "read", "读", bit(Noun::text)},
};

struct Pair {
  const char *english, *chinese;
};
// Those of the first kind can be all that is said of something: it is very big.
constexpr Pair qualities[] = {{"big", "大"},         {"small", "小"},     {"new", "新"},     {"clean", "干净"},
                              {"beautiful", "漂亮"}, {"expensive", "贵"}, {"cheap", "便宜"}, {"good", "好"}};
constexpr Pair colours[] = {{"red", "红色"}, {"blue", "蓝色"}, {"white", "白色"}, {"black", "黑色"}};
constexpr Pair numbers[] = {{"two", "两"},   {"three", "三"}, {"four", "四"}, {"five", "五"}, {"six", "六"},
                            {"seven", "七"}, {"eight", "八"}, {"nine", "九"}, {"ten", "十"}};
constexpr Pair past_times[] = {
    {"yesterday", "昨天"}, {"last week", "上个 星期"}, {"last year", "去年"}, {"this morning", "今天 早上"}};
constexpr Pair future_times[] = {
    {"tomorrow", "明天"}, {"next week", "下个 星期"}, {"next year", "明年"}, {"tonight", "今天 晚上"}};
constexpr Pair usual_times[] = {{"every day", "每天"}, {"every morning", "每天 早上"}, {"on Sundays", "星期天"}};
constexpr Pair places[] = {{"in the park", "在 公园"}, {"at school", "在 学校"},      {"at home", "在 家"},
                           {"in the shop", "在 商店"}, {"at the station", "在 车站"}, {"in the garden", "在 花园"},
                           {"in Beijing", "在 北京"},  {"at the market", "在 市场"}};
struct Person {
  const char *subject, *chinese, *possessive;
  enum { first, third, many } form;  // I; he, Tom; you, we, they
};
constexpr Person persons[] = {{"I", "我", "my", Person::first},        {"you", "你", "your", Person::many},
                              {"he", "他", "his", Person::third},      {"she", "她", "her", Person::third},
                              {"we", "我们", "our", Person::many},     {"they", "他们", "their", Person::many},
                              {"Tom", "汤姆", "Tom's", Person::third}, {"Mary", "玛丽", "Mary's", Person::third}};

// Words of both languages, and whether they hold a combination that training must not see.
struct Text {
  std::string english, chinese;
  bool held_out = false;
};

std::string words(std::initializer_list<std::string> parts) {
  std::string text;
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    if (!text.empty()) text += ' ';
    text += part;
  }
  return text;
}

class Grammar {
 public:
  explicit Grammar(uint64_t seed) : random_(seed) {}

  Text sentence() {
    if (chance(0.55)) return clause(true);
    const Text a = clause(false), b = clause(false);
    const bool held_out = a.held_out || b.held_out;
    switch (random_.below(4)) {
      case 0: return {words({a.english, "and", b.english}), words({a.chinese, "，", b.chinese}), held_out};
      case 1: return {words({a.english, ", but", b.english}), words({a.chinese, "， 但是", b.chinese}), held_out};
      case 2:
        return {words({a.english, "because", b.english}), words({"因为", b.chinese, "， 所以", a.chinese}), held_out};
      default: return {words({a.english, "when", b.english}), words({b.chinese, "的 时候 ，", a.chinese}), held_out};
    }
  }

 private:
  bool chance(double p) { return random_.uniform() < p; }
  template <class T, size_t n>
  const T& one_of(const T (&list)[n]) {
    return list[random_.below(n)];
  }

  // One combination in eight, by a hash of its words (FNV-1a).
  static bool is_held_out(std::string_view a, std::string_view b) {
    uint32_t hash = 2166136261u;
    for (const std::string_view word : {a, b})
      for (const char c : word) hash = (hash ^ uint8_t(c)) * 16777619u;
    return (hash >> 11) % 8 == 0;
  }

  struct Subject {
    Text text;
    int form;
  };
  // A noun with what goes before it.
  Text noun_phrase(const Noun& noun, bool& many, bool indefinite) {
    Text t;
    std::string before, chinese;
    many = chance(0.4);
    std::string adjective;
    if (chance(0.35)) {
      const Pair& a = chance(0.6) ? one_of(qualities) : one_of(colours);
      adjective = a.english;
      chinese = std::string(a.chinese) + "的";
      t.held_out = is_held_out(a.english, noun.one);
    }
    const std::string measure = noun.measure;
    const int64_t kind = indefinite ? 0 : random_.below(4);
    if (kind == 0 && many) {
      const Pair& number = one_of(numbers);
      before = number.english;
      chinese = words({number.chinese + measure, chinese});
    } else if (kind == 0) {
      const std::string& next = adjective.empty() ? noun.one : adjective;
      before = std::string_view("aeiou").find(next[0]) != std::string_view::npos ? "an" : "a";
      chinese = words({"一" + measure, chinese});
    } else if (kind == 1) {
      const Person& owner = one_of(persons);
      before = owner.possessive;
      chinese = words({std::string(owner.chinese) + "的", chinese});
    } else {
      const bool near = chance(0.3);
      before = near ? (many ? "these" : "this") : "the";
      chinese = words({(near ? "这" : "那") + (many ? std::string("些") : measure), chinese});
    }
    t.english = words({before, adjective, many ? noun.many : noun.one});
    t.chinese = words({chinese, noun.chinese});
    return t;
  }

  Subject subject() {
    if (chance(0.6)) {
      const Person& p = one_of(persons);
      return {{p.subject, p.chinese}, p.form};
    }
    const Noun& noun = nouns[random_.below(living_nouns)];  // a person or an animal
    bool many;
    Text t = noun_phrase(noun, many, false);
    if (chance(0.12)) {  // the dog that Tom saw yesterday
      const Person& p = one_of(persons);
      const Verb& verb = verbs[random_.below(2)];
      const Pair& time = one_of(past_times);
      t.english = words({t.english, "that", p.subject, verb.past, time.english});
      t.chinese = words({p.chinese, time.chinese, verb.chinese, "的", t.chinese});
      t.held_out = t.held_out || is_held_out(verb.base, noun.one);
    }
    return {t, many ? Person::many : Person::third};
  }

  // What `verb` is done to.
  Text object(const Verb& verb) {
    const Noun* noun;
    do noun = &one_of(nouns);
    while (!(verb.objects & bit(noun->kind)));
    bool many;
    Text t = noun_phrase(*noun, many, chance(0.4));
    t.held_out = t.held_out || is_held_out(verb.base, noun->one);
    return t;
  }

  Text clause(bool may_ask) {
    const Subject s = subject();
    const bool ask = may_ask && chance(0.25), negate = chance(0.2);
    Text t = chance(0.25) ? being(s, ask, negate) : doing(s, ask, negate);
    t.held_out = t.held_out || s.text.held_out;
    if (ask) {
      t.english += " ?";
      t.chinese += " ？";
    }
    return t;
  }

  // I am a dog; is the dog very big ?
  Text being(const Subject& s, bool ask, bool negate) {
    const std::string be = s.form == Person::first ? "am" : s.form == Person::third ? "is" : "are";
    Text t;
    std::string verb;
    if (chance(0.5)) {
      bool many;
      do t = noun_phrase(nouns[random_.below(living_nouns)], many, true);
      while (many != (s.form == Person::many && s.text.english != "you"));
      verb = negate ? "不 是" : "是";
    } else {
      const Pair& a = one_of(qualities);
      t = {negate ? a.english : words({"very", a.english}), a.chinese};
      verb = negate ? "不" : "很";
    }
    const std::string no = negate ? "not" : "";
    return {ask ? words({be, s.text.english, no, t.english}) : words({s.text.english, be, no, t.english}),
            words({s.text.chinese, verb, t.chinese, ask ? "吗" : ""}), t.held_out};
  }

  // The teacher did not buy three red books in the shop yesterday.
  Text doing(const Subject& s, bool ask, bool negate) {
    const Verb& verb = one_of(verbs);
    const Text o = object(verb);
    const int64_t tense = random_.below(verb.chinese == std::string_view("要") ? 3 : 4);  // past, future, usual, wish
    const bool third = s.form == Person::third;
    std::string helper, english = verb.base, chinese = verb.chinese;
    Pair time = {"", ""};
    if (tense == 0) {
      helper = "did";
      if (!ask && !negate) english = verb.past;
      chinese = negate ? "没有 " + chinese : chinese + "了";
      if (chance(0.7)) time = one_of(past_times);
    } else if (tense == 1) {
      helper = "will";
      chinese = words({negate ? "不 会" : "会", chinese});
      if (chance(0.7)) time = one_of(future_times);
    } else {
      helper = third ? "does" : "do";
      if (tense == 3) {
        english = ask || negate || !third ? "want to " + english : "wants to " + english;
        chinese = "想 " + chinese;
      } else if (third && !ask && !negate) {
        english = verb.third;
      }
      if (negate) chinese = "不 " + chinese;
      if (chance(0.4)) time = one_of(usual_times);
    }
    const bool helped = ask || negate || tense == 1;
    const Pair place = chance(0.3) ? one_of(places) : Pair{"", ""};
    const std::string no = negate ? "not" : "";
    const std::string predicate = words({english, o.english, place.english, time.english});
    return {ask      ? words({helper, s.text.english, no, predicate})
            : helped ? words({s.text.english, helper, no, predicate})
                     : words({s.text.english, predicate}),
            words({s.text.chinese, time.chinese, place.chinese, chinese, o.chinese, ask ? "吗" : ""}), o.held_out};
  }

  Generator random_;
};

}  // namespace

PairSplit grammar_corpus(int64_t count, uint64_t seed) {
  check(count >= 0 && count <= 1000000, "grammar_corpus: ", count, " pairs, expected 0 to 1000000");
  Grammar grammar(seed);
  PairSplit parts;
  const size_t few = size_t(count) / 20, rest = size_t(count) - 2 * few;
  std::unordered_set<std::string> seen;
  while (parts.train.size() < rest || parts.validation.size() < few || parts.test.size() < few) {
    Text t = grammar.sentence();
    auto& part = !t.held_out ? parts.train : parts.validation.size() < few ? parts.validation : parts.test;
    if (part.size() < (&part == &parts.train ? rest : few) && seen.insert(t.english).second)
      part.push_back({std::move(t.english), std::move(t.chinese)});
  }
  return parts;
}

}  // namespace examples
