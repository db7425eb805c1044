/* A filter: which messages a reader wants. One definition (the fields of the views), two evaluators that must agree: over one scanned message
 * (live) and over posting lists (stored, struct query).
 *
 * A filter is a conjunction: at most one value per field (a value of `q` is several terms). The empty filter is every record, messages or not.
 * Besides, its authors can be those near to a feed. */
#ifndef VIEWS_FILTER_H
#define VIEWS_FILTER_H

#include "views/flume.h"

#define FILTER_TERMS_MAX 16

/* What a message must have. Lists answer the first two (of prefixes that begin few terms), a look at the record the others. */
enum filter_kind {
    FILTER_TERM,   /* the term */
    FILTER_PREFIX, /* a term that begins with these bytes */
    FILTER_PHRASE, /* these terms, emitted one behind the other; they stand one behind the other here, too */
    FILTER_TIME,   /* a struct filter_time: its time (message_rts) is in there */
};

struct filter_time {
    double from, below; /* ms */
};

struct filter_term {
    const struct field *field;
    uint8_t view;  /* enum view_id of the view that holds the field's lists */
    uint8_t index; /* of the field in the view */
    bool negate;   /* messages without the term; of FILTER_TERM only */
    uint8_t kind;  /* enum filter_kind */
    struct term term;
};

struct near;

struct filter {
    const struct near
        *near; /* near.h: messages of these authors alone; NULL = of all. The caller's, as long as the filter is used */
    size_t count;
    struct filter_term terms[FILTER_TERMS_MAX];
};

/* Adds `name`=`text`. ERR_NOTFOUND: no view has such a field; ERR_ARG: the field is set already or the value is bad (ERR_REF: an id is wanted). */
int filter_set(struct filter *filter, const char *name, const char *text, size_t len);
/* The same of a text that ends, and of an id. */
int filter_set_text(struct filter *filter, const char *name, const char *text);
int filter_set_ref(struct filter *filter, const char *name, const struct ref *ref);

/* Adds a term that was made already, of the field `name`: for what fields set. One that is there is not added again. */
int filter_add(struct filter *filter, const char *name, enum filter_kind kind, const struct term *term);

/* The views that the stored evaluator reads, as a mask for flume_wait; 0 for the empty filter. */
uint32_t filter_views(const struct filter *filter);

/* Does this message pass? */
bool filter_match(const struct filter *filter, const struct message *message);
bool filter_match_term(const struct filter_term *term, const struct message *message);

/* The words of a phrase: how many, each with its NUL. One that ends in this byte and NUL is what a term begins with. */
#define FILTER_PHRASE_MAX 32
#define FILTER_PHRASE_PREFIX '\x01'
size_t filter_phrase_words(const struct term *phrase, struct slice words[FILTER_PHRASE_MAX]);

/* ---- the stored evaluator ----------------------------------------------------------------------------------- */

/* A place in the answer to a filter over a range. Plain data, nothing to close: it may rest between two batches as long as its
 * reader likes (a slow client), and goes on from its last seq. */
struct query {
    struct filter filter;
    struct log_range range;
    int64_t at; /* the next seq that may be answered */
    int64_t
        from; /* the start of a record, not behind `at` in the direction of travel: where a walk over the log begins */
    bool ended;          /* the range is used up: no append will add to it */
    int64_t patience_ms; /* how long query_next may look without finding anything; INT64_MAX after query_open */
};

/* ERR_BOUNDARY as log_cursor_open. */
int query_open(struct flume *flume, const struct filter *filter, const struct log_range *range,
               struct query *ret_query);

/* query_next looks no longer than until the deadline of `read`. */
void query_patience(struct query *query, const struct flume_read *read);

/* Up to `max` seqs, in order, none above what is durable and indexed now. Answers how many (0 = none now), or an error: ERR_SLOW when patience is
 * over and nothing was found; asked again, it goes on from there. Deleted records are left out. Walks lists from the end that is asked for, intersects by seeking, and stops at `max`. */
int query_next(struct query *query, struct flume *flume, int64_t *seqs, size_t max);

#endif
