/* View "names": which feeds were ever called how, for GET /feeds?name=. What a feed is called now the view "about" decides.
 *
 * A name is folded (words.h): its words, with a space between them. A key is a name from one of its words on, whether that is its first one,
 * and the feed. */
#ifndef VIEWS_VIEW_NAMES_H
#define VIEWS_VIEW_NAMES_H

#include "views/flume.h"

#define NAME_BYTES_MAX 200 /* of a folded name; the rest of a longer one is not looked at */
#define NAME_PARTS_MAX 8   /* words of a name that it can be found by */
#define NAME_KEY_BYTES 100 /* of a name from one word on, in a key */

struct folded_name {
    size_t len;
    char text[NAME_BYTES_MAX];
    size_t part_count;
    size_t parts[NAME_PARTS_MAX]; /* where its words begin */
};

/* `escaped`: what stands between the quotes of a JSON string. Of a text without letters nothing is left: len 0. */
void name_fold(struct slice text, bool escaped, struct folded_name *ret_name);

/* How a name answers what was typed, best first. */
enum name_match {
    NAME_EXACT,  /* it is the name */
    NAME_BEGINS, /* the name begins so */
    NAME_WORD,   /* a later word of it begins so */
    NAME_NEAR, /* a word of it begins nearly so: the same first letter, then one mistake, or two in seven letters and more */
    NAME_NONE,
};
enum name_match name_matches(const struct folded_name *typed, const struct folded_name *name);

struct named_feed {
    struct ref id;
    enum name_match match;
    int64_t seq; /* newest message of the feed up to where it is asked about; SEQ_EMPTY = it has none */
};

/* Names and feeds that are looked at for one question. */
#define NAMES_LOOKED_MAX 20000
#define NAMES_FOUND_MAX 1000

/* Feeds that may be called so: best match first, of equal ones who wrote last up to seq `upto`; a feed stands once for each kind of match that a name of it ever was.
 * The caller frees *ret_feeds. ERR_ARG: there is no letter in what was typed. */
int names_find(const struct flume_read *read, struct slice typed, int64_t upto, struct named_feed **ret_feeds,
               size_t *ret_count);

/* What a feed is called now, by the rule social of the view about. */
struct current_name {
    int64_t seq;       /* where it was said */
    struct ref author; /* by whom */
};

/* 1, and the name as a JSON string with its quotes in `text`, which is emptied first; 0 = it has no name. */
int names_now(const struct flume_read *read, const struct ref *feed, struct buf *text, struct current_name *ret_name);

#endif
