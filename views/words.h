/* The words of a text, as they are searched for: folded, so that case, width and the accents of Latin, Greek, Cyrillic, Hebrew and Arabic do
 * not matter. A word is a run of letters, digits and their marks, in any script.
 *
 * Scripts that are written without spaces (Han, kana, Thai, Khmer …) and emoji are cut into pairs: of characters a b c come "ab", "bc" and the
 * tail "c". So a text of two characters or more is the phrase of its pairs, and one character is what a word begins with.
 *
 * References (%…, @…, &…) that stand in the text are passed over. */
#ifndef VIEWS_WORDS_H
#define VIEWS_WORDS_H

#include <stdbool.h>

#include "store/buf.h"

#define WORD_MAX 64 /* bytes of a folded word; what a longer one has beyond that is not looked at */

struct word {
    size_t len;
    char text[WORD_MAX];
    size_t begin, end; /* where it stands in the text, in bytes */
    bool dense;        /* of a script without spaces */
    bool tail;         /* the last character of a run of several, by itself */
};

struct words {
    struct slice text;
    size_t at;
    bool escaped;     /* the text is what stands between the quotes of a JSON string */
    struct word held; /* a character of a script without spaces that waits for the next; len 0 = none */
};

void words_open(struct slice text, bool escaped, struct words *ret_words);
bool words_next(struct words *words, struct word *ret_word);

#endif
