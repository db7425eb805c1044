#include "views/words.h"

#include <string.h>
#include <utf8proc.h>

#include "store/ref.h"

/* What a character of the text is for a word. */
enum unit_kind {
    UNIT_GAP,     /* ends it */
    UNIT_LETTER,  /* is part of it */
    UNIT_DENSE,   /* a letter of a script without spaces */
    UNIT_MARK,    /* belongs to the letter before it */
    UNIT_NOTHING, /* as if it were not there */
};

#define UNIT_MAX 72 /* bytes of the longest folding, 18 characters of 4 bytes */

struct unit {
    enum unit_kind kind;
    size_t len; /* of the folded text */
    char text[UNIT_MAX];
    size_t end; /* where the next one begins */
};

/* ---- one character ------------------------------------------------------------------------------------------------- */

/* ASCII letters and digits in lower case; 0 = none of these. */
static char ascii_fold(unsigned char c)
{
    if (c >= 'A' && c <= 'Z') return (char)(c | 0x20);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? (char)c : '\0';
}

static bool in_ranges(utf8proc_int32_t c, const utf8proc_int32_t (*ranges)[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    return false;
}

/* Thai and Lao, Myanmar, Khmer, Tai scripts, kana, bopomofo and Han with their signs, Yi, Javanese. */
static bool is_dense(utf8proc_int32_t c)
{
    static const utf8proc_int32_t ranges[][2] = {
        { 0x0E00, 0x0EFF }, { 0x1000, 0x109F }, { 0x1780, 0x17FF },   { 0x1950, 0x19DF }, { 0x1A20, 0x1AAF },
        { 0x3005, 0x3007 }, { 0x3041, 0x312F }, { 0x31A0, 0x31FF },   { 0x3400, 0x9FFF }, { 0xA000, 0xA48F },
        { 0xA980, 0xA9DF }, { 0xF900, 0xFAFF }, { 0x20000, 0x3FFFF },
    };
    return c >= 0x0E00 && in_ranges(c, ranges, sizeof ranges / sizeof *ranges);
}

/* Accents and vowel points that people leave out: combining marks of Latin, Greek and Cyrillic, Hebrew, Arabic. In other scripts marks
 * make another letter, and stay. */
static bool is_left_out(utf8proc_int32_t c)
{
    static const utf8proc_int32_t ranges[][2] = {
        { 0x0300, 0x036F }, { 0x0483, 0x0487 }, { 0x0591, 0x05C7 },   { 0x0610, 0x061A }, { 0x0640, 0x0640 },
        { 0x064B, 0x065F }, { 0x0670, 0x0670 }, { 0x06D6, 0x06ED },   { 0x1AB0, 0x1AFF }, { 0x1DC0, 0x1DFF },
        { 0x20D0, 0x20FF }, { 0xFE00, 0xFE0F }, { 0x1F3FB, 0x1F3FF },
    };
    return in_ranges(c, ranges, sizeof ranges / sizeof *ranges);
}

static bool is_emoji(utf8proc_int32_t c, utf8proc_category_t category)
{
    return category == UTF8PROC_CATEGORY_SO && (c >= 0x1F000 || (c >= 0x2600 && c <= 0x27BF));
}

/* U+200B stands between words where no space does. */
#define ZERO_WIDTH_SPACE 0x200B

static enum unit_kind kind_of(utf8proc_int32_t c)
{
    if (is_left_out(c)) return UNIT_NOTHING;
    utf8proc_category_t category = utf8proc_category(c);
    switch (category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return is_dense(c) ? UNIT_DENSE : UNIT_LETTER;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return UNIT_MARK;
    case UTF8PROC_CATEGORY_CF: return c == ZERO_WIDTH_SPACE ? UNIT_GAP : UNIT_NOTHING;
    case UTF8PROC_CATEGORY_SO: return is_emoji(c, category) ? UNIT_DENSE : UNIT_GAP;
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO: break;
    }
    return UNIT_GAP;
}

/* Folds one character: what it decomposes into in lower case, less what is left out. Its first character that stays says its kind. */
static void unit_fold(utf8proc_int32_t c, struct unit *unit)
{
    utf8proc_int32_t folded[UNIT_MAX / 4];
    const utf8proc_option_t how = UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD;
    utf8proc_ssize_t count = UNIT_MAX / 4;
    unit->kind = kind_of(c);
    unit->len = 0;
    if (unit->kind == UNIT_GAP || unit->kind == UNIT_NOTHING) return;
    count = utf8proc_decompose_char(c, folded, count, how, NULL);
    if (count < 0 || count > UNIT_MAX / 4) count = 0;
    for (utf8proc_ssize_t i = 0; i < count; i++) {
        enum unit_kind kind = kind_of(folded[i]);
        if (kind == UNIT_GAP || kind == UNIT_NOTHING) continue;
        if (unit->len == 0) unit->kind = kind;
        unit->len += (size_t)utf8proc_encode_char(folded[i], (utf8proc_uint8_t *)unit->text + unit->len);
    }
    if (unit->len == 0) unit->kind = UNIT_NOTHING;
}

/* ---- reading characters -------------------------------------------------------------------------------------------- */

/* Four hexadecimal digits; -1 = they are none. */
static utf8proc_int32_t hex_read(const char *at, size_t left)
{
    utf8proc_int32_t value = 0;
    if (left < 4) return -1;
    for (size_t i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'                     ? c - '0'
                    : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                             : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* The character of an escape sequence of JSON, which begins at `at`: its length; what is no letter is a space. */
static size_t escape_read(const char *at, size_t left, utf8proc_int32_t *ret_char)
{
    *ret_char = ' ';
    if (left < 2 || at[1] != 'u') return left < 2 ? left : 2;
    utf8proc_int32_t high = hex_read(at + 2, left - 2);
    if (high < 0) return 2;
    bool pair = high >= 0xD800 && high < 0xDC00 && left >= 12 && at[6] == '\\' && at[7] == 'u';
    utf8proc_int32_t low = pair ? hex_read(at + 8, left - 8) : -1;
    if (low >= 0xDC00 && low < 0xE000) {
        *ret_char = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
        return 12;
    }
    if (high < 0xD800 || high >= 0xE000) *ret_char = high;
    return 6;
}

/* The character at `at`; false at the end of the text. */
static bool unit_read(const struct words *words, size_t at, struct unit *ret_unit)
{
    const char *text = words->text.data + at;
    size_t left = words->text.len - at;
    utf8proc_int32_t c = -1;
    if (left == 0) return false;
    utf8proc_ssize_t len = 1;
    if (words->escaped && *text == '\\')
        len = (utf8proc_ssize_t)escape_read(text, left, &c);
    else if ((unsigned char)*text < 0x80)
        c = (unsigned char)*text;
    else
        len = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)left, &c);
    ret_unit->end = at + (len < 1 ? 1 : (size_t)len);
    ret_unit->len = 1;
    if (c >= 0x80) {
        unit_fold(c, ret_unit);
    } else {
        ret_unit->text[0] = ascii_fold((unsigned char)(c < 0 ? ' ' : c));
        ret_unit->kind = ret_unit->text[0] == '\0' ? UNIT_GAP : UNIT_LETTER;
    }
    return true;
}

/* ---- words --------------------------------------------------------------------------------------------------------- */

static void word_add(struct word *word, const struct unit *unit)
{
    if (word->len + unit->len <= WORD_MAX) {
        memcpy(word->text + word->len, unit->text, unit->len);
        word->len += unit->len;
    }
    word->end = unit->end;
}

/* The run of letters from `at` on. */
static void word_read(struct words *words, struct word *word)
{
    const char *text = words->text.data;
    struct unit unit;
    char c;
    for (;;) {
        for (; words->at < words->text.len && (c = ascii_fold((unsigned char)text[words->at])) != '\0'; words->at++)
            if (word->len < WORD_MAX) word->text[word->len++] = c;
        word->end = words->at;
        if (!unit_read(words, words->at, &unit) || unit.kind == UNIT_GAP || unit.kind == UNIT_DENSE) return;
        if (unit.kind != UNIT_NOTHING) word_add(word, &unit);
        words->at = unit.end;
    }
}

/* The character of a script without spaces at `at`, with its marks. False if there is none. */
static bool dense_read(struct words *words, struct word *ret_word)
{
    struct unit unit;
    if (!unit_read(words, words->at, &unit) || unit.kind != UNIT_DENSE) return false;
    *ret_word = (struct word){ .begin = words->at, .dense = true };
    do {
        if (unit.kind != UNIT_NOTHING && ret_word->len + unit.len <= WORD_MAX / 2) word_add(ret_word, &unit);
        ret_word->end = words->at = unit.end;
    } while (unit_read(words, words->at, &unit) && (unit.kind == UNIT_MARK || unit.kind == UNIT_NOTHING));
    return true;
}

/* The held character with the next one, or by itself. `words->held.tail`: there was one before it. */
static void dense_pair(struct words *words, struct word *ret_word)
{
    struct word next;
    *ret_word = words->held;
    if (!dense_read(words, &next)) {
        words->held.len = 0;
        return;
    }
    memcpy(ret_word->text + ret_word->len, next.text, next.len);
    ret_word->len += next.len;
    ret_word->end = next.end;
    ret_word->tail = false;
    next.tail = true;
    words->held = next;
}

void words_open(struct slice text, bool escaped, struct words *ret_words)
{
    ret_words->text = text;
    ret_words->at = 0;
    ret_words->escaped = escaped;
    ret_words->held.len = 0;
}

/* Up to the next letter; false = there is none. */
static bool words_skip(struct words *words, struct unit *ret_unit)
{
    while (unit_read(words, words->at, ret_unit)) {
        if (ret_unit->kind == UNIT_LETTER || ret_unit->kind == UNIT_DENSE) return true;
        char c = words->text.data[words->at];
        size_t id = c == '%' || c == '@' || c == '&'
                        ? ref_prefix(words->text.data + words->at, words->text.len - words->at)
                        : 0;
        words->at = id > 0 ? words->at + id : ret_unit->end;
    }
    return false;
}

bool words_next(struct words *words, struct word *ret_word)
{
    struct unit unit;
    if (words->held.len > 0) {
        dense_pair(words, ret_word);
        return true;
    }
    if (!words_skip(words, &unit)) return false;
    if (unit.kind == UNIT_DENSE) {
        (void)dense_read(words, &words->held);
        dense_pair(words, ret_word);
        return true;
    }
    ret_word->len = 0;
    ret_word->begin = words->at;
    ret_word->dense = ret_word->tail = false;
    word_read(words, ret_word);
    return true;
}
