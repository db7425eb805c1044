/* A line that is searched for and a text to search: words stand where they say and fold to themselves; what a query takes is matched without
 * harm; a snippet is made of slices of the text, in its order, and where single words match, it marks something. Run with
 * tests/fuzz/corpus/search. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/search.h"
#include "views/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool right, const char *what)
{
    if (right) return;
    (void)fprintf(stderr, "fuzz_search: %s\n", what);
    abort();
}

static void check_words(struct slice text, bool escaped)
{
    struct words words;
    struct word word;
    size_t last = 0;
    words_open(text, escaped, &words);
    while (words_next(&words, &word)) {
        must(word.len > 0 && word.len <= WORD_MAX, "a word of no length, or too long");
        must(word.begin < word.end && word.end <= text.len && word.begin >= last, "a word that is not where it says");
        last = word.begin;
    }
}

static void check_snippet(const struct filter *filter, const struct message *message, struct slice text, bool match)
{
    struct snippet snippet;
    const char *at = text.data;
    bool marked = false;
    search_snippet(filter, message, &snippet);
    for (size_t i = 0; i < snippet.count; i++) {
        const struct snippet_piece *piece = &snippet.pieces[i];
        must(piece->text.data >= at && piece->text.len > 0, "a piece out of order");
        at = piece->text.data + piece->text.len;
        must(at <= text.data + text.len, "a piece outside the text");
        marked = marked || piece->mark;
    }
    bool plain = filter->count == 1 && filter->terms[0].kind == FILTER_TERM && filter->terms[0].term.len > 1;
    if (match && plain) must(marked, "nothing is marked");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[] = "{\"value\":{\"timestamp\":1577836800000,\"content\":{\"type\":\"post\",\"text\":\"";
    static const char tail[] = "\"}}}";
    const char *input = (const char *)data, *end = size > 0 ? memchr(data, '\n', size) : NULL;
    struct filter filter = { .count = 0 };
    struct message message;
    struct buf record;
    if (end == NULL) return 0;
    size_t len = (size_t)(end - input), rest = size - len - 1;
    check_words((struct slice){ input, len }, false);
    check_words((struct slice){ end + 1, rest }, true);
    if (filter_set(&filter, "q", input, len) != OK) return 0;
    must(filter.count > 0, "a query of nothing was taken");
    buf_init(&record, 1 << 20);
    message_init(&message);
    must(buf_append(&record, head, sizeof head - 1) == OK && buf_append(&record, end + 1, rest) == OK &&
             buf_append(&record, tail, sizeof tail - 1) == OK,
         "no memory");
    must(message_scan(&message, record.data, record.len) == OK, "the scan failed");
    struct slice places[SEARCH_PLACES];
    search_places_read(&message, places);
    bool only = places[SEARCH_TEXT].data == record.data + sizeof head - 1;
    for (size_t i = 0; i < SEARCH_PLACES; i++)
        only = only && (i == SEARCH_TEXT || places[i].data == NULL);
    bool match = filter_match(&filter, &message);
    if (only) check_snippet(&filter, &message, places[SEARCH_TEXT], match);
    message_free(&message);
    buf_free(&record);
    return 0;
}
