/* Which part of a message shows what was searched for: as raw slices of its JSON text, so that nothing of it can become markup here. */
#include <string.h>

#include "views/search.h"
#include "views/words.h"

#define BEFORE_BYTES 60 /* of text in front of what was found */
#define MARKS_MAX 256
#define WORDS_MAX 20000 /* of one place that are looked at */

struct mark {
    size_t begin, end;
    uint32_t terms; /* of the filter, as bits */
};

static bool begins(const struct word *word, const char *text, size_t len)
{
    return word->len >= len && memcmp(word->text, text, len) == 0;
}

static bool phrase_has(const struct term *phrase, const struct word *word)
{
    struct slice words[FILTER_PHRASE_MAX];
    size_t count = filter_phrase_words(phrase, words);
    for (size_t i = 0; i < count; i++) {
        size_t len = words[i].len - 1;
        bool prefix = len > 1 && words[i].data[len - 1] == FILTER_PHRASE_PREFIX;
        if (begins(word, words[i].data, len - prefix) && (prefix || word->len == len)) return true;
    }
    return false;
}

/* The terms of the filter that the word is one of, as bits. */
static uint32_t word_terms(const struct filter *filter, const struct word *word)
{
    uint32_t terms = 0;
    for (size_t i = 0; i < filter->count; i++) {
        const struct filter_term *term = &filter->terms[i];
        const char *text = (const char *)term->term.bytes;
        size_t len = term->term.len;
        bool is = false;
        if (term->view != VIEW_search) continue;
        if (term->kind == FILTER_TERM) is = word->len + 1 == len && begins(word, text, len - 1);
        if (term->kind == FILTER_PREFIX) is = begins(word, text, len);
        if (term->kind == FILTER_PHRASE) is = phrase_has(&term->term, word);
        if (is) terms |= UINT32_C(1) << i;
    }
    return terms;
}

static size_t marks_find(const struct filter *filter, struct slice place, struct mark marks[MARKS_MAX])
{
    struct words words;
    struct word word;
    size_t count = 0;
    words_open(place, true, &words);
    for (size_t n = 0; n < WORDS_MAX && count < MARKS_MAX && words_next(&words, &word); n++) {
        uint32_t terms = word_terms(filter, &word);
        if (terms != 0) marks[count++] = (struct mark){ word.begin, word.end, terms };
    }
    return count;
}

static unsigned bits_count(uint32_t bits)
{
    return (unsigned)__builtin_popcount(bits);
}

/* The mark from which on a snippet shows the most terms, and how many. */
static size_t marks_best(const struct mark *marks, size_t count, unsigned *ret_terms)
{
    size_t best = 0;
    *ret_terms = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t terms = 0;
        for (size_t k = i; k < count && marks[k].end <= marks[i].begin + SNIPPET_BYTES - BEFORE_BYTES; k++)
            terms |= marks[k].terms;
        if (bits_count(terms) <= *ret_terms) continue;
        *ret_terms = bits_count(terms);
        best = i;
    }
    return best;
}

/* Where the snippet begins and ends: at words, so that no character or escape is cut. */
static void stretch_find(struct slice place, size_t from, size_t *ret_begin, size_t *ret_end)
{
    struct words words;
    struct word word;
    bool any = false;
    size_t begin = 0, end = place.len <= SNIPPET_BYTES ? place.len : 0;
    words_open(place, true, &words);
    for (size_t n = 0; n < WORDS_MAX && words_next(&words, &word); n++) {
        if (!any && word.begin + BEFORE_BYTES >= from) {
            begin = from <= BEFORE_BYTES ? 0 : word.begin;
            any = true;
        }
        if (any && word.end > begin + SNIPPET_BYTES && end > begin) break;
        if (any) end = word.end;
    }
    if (place.len <= begin + SNIPPET_BYTES) end = place.len;
    *ret_begin = begin;
    *ret_end = end;
}

static void piece_add(struct snippet *snippet, struct slice place, size_t begin, size_t end, bool mark)
{
    if (begin >= end || snippet->count == SNIPPET_PIECES_MAX) return;
    snippet->pieces[snippet->count++] = (struct snippet_piece){ { place.data + begin, end - begin }, mark };
}

static void snippet_make(struct slice place, const struct mark *marks, size_t count, size_t best,
                         struct snippet *snippet)
{
    size_t begin, end;
    stretch_find(place, count > 0 ? marks[best].begin : 0, &begin, &end);
    size_t at = begin;
    for (size_t i = 0; i < count && snippet->count + 2 < SNIPPET_PIECES_MAX; i++) {
        size_t from = marks[i].begin < at ? at : marks[i].begin, to = marks[i].end;
        if (marks[i].begin < begin || to > end || to <= at) continue;
        /* pairs of a script without spaces overlap */
        bool joins = snippet->count > 0 && snippet->pieces[snippet->count - 1].mark && from == at;
        if (joins) {
            snippet->pieces[snippet->count - 1].text.len += to - from;
        } else {
            piece_add(snippet, place, at, from, false);
            piece_add(snippet, place, from, to, true);
        }
        at = to;
    }
    piece_add(snippet, place, at, end, false);
    snippet->cut_before = begin > 0;
    snippet->cut_after = end < place.len;
}

void search_snippet(const struct filter *filter, const struct message *message, struct snippet *ret_snippet)
{
    struct slice places[SEARCH_PLACES];
    struct mark marks[MARKS_MAX];
    unsigned most = 0;
    size_t shown = SEARCH_PLACES;
    search_places_read(message, places);
    for (size_t i = 0; i < SEARCH_PLACES; i++) {
        unsigned terms = 0;
        if (places[i].data == NULL || places[i].len == 0) continue;
        (void)marks_best(marks, marks_find(filter, places[i], marks), &terms);
        if (shown < SEARCH_PLACES && terms <= most) continue;
        most = terms;
        shown = i;
    }
    ret_snippet->place = shown < SEARCH_PLACES ? search_places[shown] : NULL;
    ret_snippet->count = 0;
    ret_snippet->cut_before = ret_snippet->cut_after = false;
    if (shown == SEARCH_PLACES) return;
    size_t count = marks_find(filter, places[shown], marks);
    snippet_make(places[shown], marks, count, marks_best(marks, count, &most), ret_snippet);
}
