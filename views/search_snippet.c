/* Which part of a message shows what was searched for: as raw slices of its JSON text, so that nothing of it can become markup here. */
#include <string.h>

#include "views/search.h"
#include "views/words.h"

#define BEFORE_BYTES 60 /* of text in front of what was found */
#define MARKS_MAX 256
#define WORDS_MAX 20000 /* of one place that are looked at */

struct mark {
    size_t begin, end;
    size_t lead;    /* where the first word begins that is not farther in front than BEFORE_BYTES */
    uint32_t terms; /* of the filter, as bits */
};

struct marks {
    size_t count;
    struct mark marks[MARKS_MAX];
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

/* Words begin at different bytes, so no more than these can stand that near in front of one. */
#define LEADS (BEFORE_BYTES + 1)

static void marks_find(const struct filter *filter, struct slice place, struct marks *ret_marks)
{
    struct words words;
    struct word word;
    size_t starts[LEADS], lead = 0;
    ret_marks->count = 0;
    words_open(place, true, &words);
    for (size_t n = 0; n < WORDS_MAX && ret_marks->count < MARKS_MAX && words_next(&words, &word); n++) {
        starts[n % LEADS] = word.begin;
        while (starts[lead % LEADS] + BEFORE_BYTES < word.begin)
            lead++;
        uint32_t terms = word_terms(filter, &word);
        if (terms == 0) continue;
        ret_marks->marks[ret_marks->count++] = (struct mark){ word.begin, word.end, starts[lead % LEADS], terms };
    }
}

static unsigned bits_count(uint32_t bits)
{
    return (unsigned)__builtin_popcount(bits);
}

/* The mark from which on a snippet shows the most terms, and how many. */
static size_t marks_best(const struct marks *all, unsigned *ret_terms)
{
    const struct mark *marks = all->marks;
    size_t best = 0, count = all->count;
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

/* Where the snippet ends that begins at `begin`: behind a word, so that no character or escape is cut. */
static size_t stretch_end(struct slice place, size_t begin)
{
    struct words words;
    struct word word;
    size_t end = begin;
    if (place.len <= begin + SNIPPET_BYTES) return place.len;
    words_open(place, true, &words);
    words.at = begin;
    while (words_next(&words, &word)) {
        if (word.end > begin + SNIPPET_BYTES && end > begin) break;
        end = word.end;
    }
    return end;
}

static void piece_add(struct snippet *snippet, struct slice place, size_t begin, size_t end, bool mark)
{
    if (begin >= end || snippet->count == SNIPPET_PIECES_MAX) return;
    snippet->pieces[snippet->count++] = (struct snippet_piece){ { place.data + begin, end - begin }, mark };
}

static void snippet_make(struct slice place, const struct marks *all, struct snippet *snippet)
{
    const struct mark *marks = all->marks;
    unsigned terms;
    size_t best = marks_best(all, &terms), begin = 0;
    if (all->count > 0 && marks[best].begin > BEFORE_BYTES) begin = marks[best].lead;
    size_t at = begin, end = stretch_end(place, begin);
    for (size_t i = 0; i < all->count && snippet->count + 2 < SNIPPET_PIECES_MAX; i++) {
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
    struct marks marks[2]; /* of the place that is shown so far, and of the one that is looked at */
    size_t shown = SEARCH_PLACES, at = 0;
    unsigned most = 0, terms;
    search_places_read(message, places);
    for (size_t i = 0; i < SEARCH_PLACES; i++) {
        if (places[i].data == NULL || places[i].len == 0) continue;
        marks_find(filter, places[i], &marks[at]);
        (void)marks_best(&marks[at], &terms);
        if (shown < SEARCH_PLACES && terms <= most) continue;
        most = terms;
        shown = i;
        at = 1 - at;
    }
    ret_snippet->place = shown < SEARCH_PLACES ? search_places[shown] : NULL;
    ret_snippet->count = 0;
    ret_snippet->cut_before = ret_snippet->cut_after = false;
    if (shown < SEARCH_PLACES) snippet_make(places[shown], &marks[1 - at], ret_snippet);
}
