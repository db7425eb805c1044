/* The language of the filter `q`, told in view_search.h. */
#include <math.h>
#include <string.h>

#include "store/err.h"
#include "views/view_search.h"
#include "views/words.h"

struct parse {
    struct filter *filter;
    struct filter_time time;
    bool timed, worded;
};

/* Words of a phrase that its lists are walked for; the others only show at the record. */
#define PHRASE_LISTS 6

struct phrase {
    struct term term;
    size_t count;
};

static int phrase_put(struct phrase *phrase, const struct term *word)
{
    if (phrase->count == FILTER_PHRASE_MAX || phrase->term.len + (size_t)word->len > TERM_MAX)
        return err_set(ERR_ARG, "q: words that stand together are at most %d, of %d bytes", FILTER_PHRASE_MAX,
                       TERM_MAX);
    memcpy(phrase->term.bytes + phrase->term.len, word->bytes, word->len);
    phrase->term.len = (uint8_t)(phrase->term.len + word->len);
    phrase->count++;
    return OK;
}

/* One character of a script without spaces is what a word begins with. */
static int phrase_put_single(struct parse *parse, struct phrase *phrase, struct term *term)
{
    term->len--;
    int err = filter_add(parse->filter, "q", FILTER_PREFIX, term);
    term->bytes[term->len] = FILTER_PHRASE_PREFIX;
    term->bytes[term->len + 1] = '\0';
    term->len = (uint8_t)(term->len + 2);
    return err == OK ? phrase_put(phrase, term) : err;
}

static int phrase_put_word(struct parse *parse, struct phrase *phrase, const struct term *term)
{
    int err = phrase->count < PHRASE_LISTS ? filter_add(parse->filter, "q", FILTER_TERM, term) : OK;
    return err == OK ? phrase_put(phrase, term) : err;
}

/* Words that must stand one behind the other; one alone must only stand there. */
static int parse_words(struct parse *parse, struct slice text)
{
    struct words words;
    struct word word;
    struct term term, tail = { .len = 0 };
    struct phrase phrase = { .count = 0 };
    int err = OK;
    words_open(text, false, &words);
    while (err == OK && words_next(&words, &word)) {
        term_of_string(word.text, word.len, &term);
        if (word.tail) {
            tail = term;
            continue;
        }
        /* The tail of a pair stands before what follows; at the end of the phrase the text may go on. */
        if (tail.len > 0) err = phrase_put(&phrase, &tail);
        tail.len = 0;
        bool single = word.dense && words.held.len == 0;
        if (err == OK) err = single ? phrase_put_single(parse, &phrase, &term) : phrase_put_word(parse, &phrase, &term);
    }
    if (err != OK || phrase.count == 0) return err;
    parse->worded = true;
    return phrase.count > 1 ? filter_add(parse->filter, "q", FILTER_PHRASE, &phrase.term) : OK;
}

/* word*: what stands before its last word is as if there were no star. */
static int parse_prefix(struct parse *parse, struct slice text)
{
    struct words words;
    struct word word, last = { .len = 0 };
    struct term term;
    words_open(text, false, &words);
    while (words_next(&words, &word))
        if (!word.tail) last = word;
    if (last.len == 0) return OK;
    int err = OK;
    if (last.dense) return parse_words(parse, text);
    if (last.begin > 0) err = parse_words(parse, (struct slice){ text.data, last.begin });
    term_of_string(last.text, last.len, &term);
    term.len--;
    parse->worded = true;
    return err == OK ? filter_add(parse->filter, "q", FILTER_PREFIX, &term) : err;
}

/* ---- times ---------------------------------------------------------------------------------------------------------- */

static bool digits_read(struct slice *text, size_t count, int *ret_number)
{
    int number = 0;
    if (text->len < count) return false;
    for (size_t i = 0; i < count; i++) {
        char c = text->data[i];
        if (c < '0' || c > '9') return false;
        number = number * 10 + (c - '0');
    }
    *text = (struct slice){ text->data + count, text->len - count };
    *ret_number = number;
    return true;
}

/* The sign and two digits behind it; absent is fine. */
static bool part_read(struct slice *text, char sign, int *number)
{
    if (text->len == 0 || text->data[0] != sign) return true;
    *text = (struct slice){ text->data + 1, text->len - 1 };
    return digits_read(text, 2, number);
}

/* Days since 1970-01-01 of a date of the Gregorian calendar: years begin in March, so that the leap day is the last one. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int month_days(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

/* 2020, 2020-01, 2020-01-31, 2020-01-31T12:00, …T12:00:30, with or without a Z: the ms at which it begins. */
static bool time_read(struct slice text, double *ret_ms)
{
    int year, month = 1, day = 1, hour = 0, minute = 0, second = 0;
    if (!digits_read(&text, 4, &year) || !part_read(&text, '-', &month) || !part_read(&text, '-', &day) ||
        !part_read(&text, 'T', &hour) || !part_read(&text, ':', &minute) || !part_read(&text, ':', &second))
        return false;
    if (text.len > 0 && text.data[0] == 'Z') text.len--;
    if (text.len > 0 || month < 1 || month > 12 || day < 1 || day > month_days(year, month) || hour > 23 ||
        minute > 59 || second > 59)
        return false;
    *ret_ms = (((double)days_of(year, month, day) * 24 + hour) * 60 + minute) * 60000 + second * 1000.0;
    return true;
}

static int parse_time(struct parse *parse, bool after, struct slice value)
{
    double ms;
    if (!time_read(value, &ms))
        return err_set(ERR_ARG, "%s: a date like 2020-01-31 is wanted, or 2020, 2020-01, 2020-01-31T12:00Z",
                       after ? "after" : "before");
    if (after && ms > parse->time.from) parse->time.from = ms;
    if (!after && ms < parse->time.below) parse->time.below = ms;
    parse->timed = true;
    return OK;
}

/* ---- parts ---------------------------------------------------------------------------------------------------------- */

/* The name before a ':' if it is one that means something, and what is behind it. */
static const char *part_name(struct slice part, struct slice *ret_value)
{
    static const char *const names[] = { "author", "type", "channel", "before", "after" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = strlen(names[i]);
        if (part.len <= len || part.data[len] != ':' || memcmp(part.data, names[i], len) != 0) continue;
        *ret_value = (struct slice){ part.data + len + 1, part.len - len - 1 };
        return names[i];
    }
    return NULL;
}

static int parse_part(struct parse *parse, struct slice part)
{
    struct slice value;
    const char *name = part_name(part, &value);
    if (name != NULL && (name[0] == 'b' || strcmp(name, "after") == 0)) return parse_time(parse, name[0] == 'a', value);
    if (name != NULL) return filter_set(parse->filter, name, value.data, value.len);
    if (part.data[part.len - 1] == '*') return parse_prefix(parse, (struct slice){ part.data, part.len - 1 });
    return parse_words(parse, part);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int parse_all(struct parse *parse, struct slice text)
{
    int err = OK;
    for (size_t at = 0; err == OK && at < text.len;) {
        size_t start = at;
        bool quoted = text.data[at] == '"';
        if (is_space(text.data[at])) {
            at++;
            continue;
        }
        if (quoted) start = ++at;
        while (at < text.len && text.data[at] != '"' && (quoted || !is_space(text.data[at])))
            at++;
        const struct slice part = { text.data + start, at - start };
        if (quoted && at < text.len) at++;
        if (part.len > 0) err = quoted ? parse_words(parse, part) : parse_part(parse, part);
    }
    return err;
}

int search_set(const char *text, size_t len, struct filter *filter)
{
    struct filter made = *filter;
    struct term term = { .len = sizeof(struct filter_time) };
    struct parse parse = { .filter = &made, .time = { -INFINITY, INFINITY } };
    if (len > SEARCH_QUERY_MAX) return err_set(ERR_ARG, "q: longer than %d bytes", SEARCH_QUERY_MAX);
    int err = parse_all(&parse, (struct slice){ text, len });
    if (err == OK && made.count == filter->count && !parse.timed)
        return err_set(ERR_ARG, "q: a word to look for is wanted");
    if (err == OK && parse.timed) {
        memcpy(term.bytes, &parse.time, sizeof parse.time);
        err = filter_add(&made, "q", FILTER_TIME, &term);
    }
    if (err == OK && !parse.worded) {
        search_term_any(&term);
        err = filter_add(&made, "q", FILTER_TERM, &term);
    }
    if (err == OK) *filter = made;
    return err;
}
