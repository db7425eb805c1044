#include "tests/support/gen_parts.h"

#include <stdio.h>
#include <string.h>

static const char *const nouns[] = {
    "boat",     "garden",  "bicycle",  "kettle",     "antenna",        "solar panel",
    "notebook", "tent",    "library",  "sourdough",  "tomato",         "workshop",
    "lantern",  "radio",   "battery",  "fence",      "beehive",        "guitar",
    "map",      "ferry",   "stove",    "apple tree", "router",         "compost",
    "sail",     "poem",    "market",   "puppet",     "rain barrel",    "zine",
    "canoe",    "quilt",   "mushroom", "window",     "mesh node",      "phone",
    "well",     "choir",   "cabin",    "postcard",   "naïve painting", "café",
    "piñata",   "Fahrrad", "smörgås",  "本",         "идея",           "🐚",
    "🌱",        "🦀",
};
static const char *const adjectives[] = {
    "old",   "small",  "noisy",  "borrowed",  "leaky", "patient", "offline",  "half-finished",
    "muddy", "bright", "shared", "strange",   "warm",  "quiet",   "wooden",   "lost",
    "new",   "slow",   "local",  "hand-made", "salty", "spare",   "friendly", "rusty",
};
static const char *const verbs[] = {
    "repair", "paint", "share", "carry", "build",  "name",      "sketch", "plant",   "document", "test",
    "rewire", "visit", "trade", "clean", "borrow", "translate", "record", "measure", "feed",     "replicate",
};
static const char *const pasts[] = {
    "repaired", "painted",    "shared",   "carried",  "built",   "found",      "sketched",
    "planted",  "documented", "tested",   "rewired",  "visited", "traded",     "cleaned",
    "borrowed", "translated", "recorded", "measured", "lost",    "replicated",
};
static const char *const places[] = {
    "the harbour",     "our kitchen",   "the community hall", "a train",
    "the north field", "the shed",      "the island",         "my grandmother's house",
    "the hackspace",   "the river",     "the rooftop",        "the night bus",
    "the forest",      "the allotment",
};
static const char *const times[] = {
    "today",       "last night", "this morning", "on Sunday", "after the rain",
    "before dawn", "last week",  "in spring",    "yesterday", "all winter",
};
static const char *const names[] = {
    "amara", "bento", "celia", "dov",   "elin",  "farid", "greta", "hiro",  "ines",  "jonas", "kaya", "luca",
    "mira",  "noor",  "otto",  "petra", "quinn", "rosa",  "sami",  "tove",  "uma",   "viggo", "wren", "xenia",
    "yusuf", "zora",  "anouk", "björn", "chloé", "diego", "emre",  "freya", "goran", "hana",  "ivo",  "juno",
    "kofi",  "leila", "marek", "nadia", "óscar", "paola", "rafi",  "søren", "tariq", "ulla",  "vera", "willow",
};
static const char *const channels[] = {
    "gardening", "boats",  "solar",  "bread",        "mesh-radio", "new-people", "music",
    "cycling",   "books",  "code",   "repair-cafe",  "weather",    "foraging",   "art",
    "politics",  "photos", "trains", "permaculture", "languages",  "random",
};

/* %n noun, %a adjective, %v verb, %d verb in the past, %p place, %t time, %c channel */
static const char *const sentences[] = {
    "I %d a %a %n near %p %t.",
    "Does anybody know how to %v a %n?",
    "We %d the %n and the %n %t, and it still works.",
    "The %a %n at %p needs somebody to %v it.",
    "Thank you all for the help with my %n!",
    "There is a %a %n behind %p, if you want to %v it.",
    "I am writing this offline from %p, so replies will take a while.",
    "My plan: %v one %n a week until it gets %a.",
    "What a %a day.",
    "Somebody %d our %n %t; it was probably a %n.",
    "If you %v a %n, please %v the notes too.",
    "I disagree: a %n is more %a than a %n.",
    "It rained %t and the %n is %a now.",
    "Has anyone %d a %n with only a %n and some string?",
    "Here is what we learned at %p: never %v a %a %n.",
    "Welcome! Have a look at #%c, people there are %a.",
    "The gathering at %p starts when the %n is ready.",
    "I would rather %v a %n than sit in another meeting.",
    "Pictures of the %a %n will follow when I am back from %p.",
    "Yes, exactly that.",
    "First draft: a %a %n, a %n, and enough time to %v both.",
    "My neighbour %d this %n %t and says hello.",
    "It took three tries to %v the %n.",
    "Question for #%c: which %n is the least %a?",
};

const char *gen_noun(struct gen_random *random)
{
    return GEN_PICK(random, nouns);
}

const char *gen_channel(struct gen_random *random)
{
    return GEN_PICK(random, channels);
}

void gen_name(uint32_t author, char *out, size_t size)
{
    uint32_t count = sizeof names / sizeof *names;
    if (author < count)
        snprintf(out, size, "%s", names[author]);
    else
        snprintf(out, size, "%s%u", names[author % count], author / count + 1);
}

static const char *word_for(struct gen_random *random, char slot)
{
    switch (slot) {
    case 'n': return GEN_PICK(random, nouns);
    case 'a': return GEN_PICK(random, adjectives);
    case 'v': return GEN_PICK(random, verbs);
    case 'd': return GEN_PICK(random, pasts);
    case 'p': return GEN_PICK(random, places);
    case 't': return GEN_PICK(random, times);
    default: return GEN_PICK(random, channels);
    }
}

/* Now and then a word is bold or a link, as people write it. */
static void put_word(struct gen_random *random, const char *word, struct buf *out)
{
    uint32_t dice = gen_below(random, 60);
    if (dice == 0) {
        buf_printf(out, "**%s**", word);
    } else if (dice == 1) {
        buf_printf(out, "[%s](https://example.org/%u)", word, gen_below(random, 10000));
    } else {
        buf_puts(out, word);
    }
}

static void put_sentence(struct gen_random *random, struct buf *out)
{
    for (const char *at = GEN_PICK(random, sentences); *at != '\0'; at++) {
        if (*at != '%') {
            buf_putc(out, *at);
            continue;
        }
        at++;
        put_word(random, word_for(random, *at), out);
    }
}

void gen_prose(struct gen_random *random, size_t length, struct buf *out)
{
    size_t start = out->len;
    while (out->len - start < length && out->err == 0) {
        if (out->len > start) buf_puts(out, gen_below(random, 6) == 0 ? "\n\n" : " ");
        put_sentence(random, out);
    }
}

size_t gen_prose_length(struct gen_random *random)
{
    /* 50 * e^(5 x y), by squaring, so that no library's rounding is in it */
    double power = 1 + gen_unit(random) * gen_unit(random) * 4.98 / 4096;
    for (int i = 0; i < 12; i++)
        power *= power;
    double length = 50 * power - 35;
    return length > 2000 ? 2000 : (size_t)length;
}
