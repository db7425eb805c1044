/* The view contract: what a view is, and what the core (flume.h) does for all of them.
 *
 * A view derives tables from the log. It says its name, its version, the fields that messages can be found by, the tables of its own and
 * their shapes, and what one record adds to them. What is stored must be a pure function of the records: no clock, no network, no state
 * of the view in memory, so that incremental == batched == rebuilt. The core gathers records (in a long build on several threads),
 * writes what was gathered in log order, commits it together with `since`, keeps readers waiting until a view is fresh, and empties
 * and rebuilds a view whose version, log or position does not fit.
 *
 * To add a view: one file view_NAME.c (with view_NAME.h if it can be asked more than its fields) and one line in views.def.
 * See README.md in this folder. */
#ifndef VIEWS_VIEW_H
#define VIEWS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/kv.h"
#include "store/log.h"
#include "store/message.h"

/* ---- terms and fields: what messages can be found by ------------------------------------------------------ */

/* A value of a field in the form that is indexed: 33 bytes for a reference, the text and a NUL for a string. No term of
 * a field is the beginning of another one. Long strings keep their beginning and end in a hash. */
#define TERM_MAX 200
struct term {
    uint8_t len;
    uint8_t bytes[TERM_MAX];
};

void term_of_ref(const struct ref *ref, struct term *ret_term);
void term_of_string(const char *text, size_t len, struct term *ret_term);
bool term_equal(const struct term *a, const struct term *b);

/* A string's term from its own text: what stands in it before the NUL. Of a string that a term holds whole that is the string. */
void term_of_text(const char *text, size_t len, struct term *ret_term);

/* The text of a string's term, borrowed from it; false if the term keeps only its beginning (then a record must be asked). */
bool term_text(const struct term *term, struct slice *ret_text);

/* Takes one term of a message; 0 to go on, anything else ends the emitting and is answered by it. */
typedef int term_fn(void *ctx, const struct term *term);

/* A field says how a message is found: both evaluators of a filter (stored and live) use this one definition. */
struct field {
    const char *name; /* as in the API: "author" */
    /* A value as it stands in a query; NULL: the view's `set` takes it. *ret_negate: messages WITHOUT the term are meant (private=false). ERR_REF, ERR_ARG. */
    int (*parse)(const char *text, size_t len, struct term *ret_term, bool *ret_negate);
    /* Calls fn for every place in the message that has a term; the same term may come several times. */
    int (*emit)(const struct message *message, term_fn *fn, void *ctx);
};

/* How a slot of a register keeps the best offer, by order and then seq; SMALLEST and FIRST keep the first of equal ones. */
enum register_rule {
    REGISTER_LARGEST,  /* the newest of the largest */
    REGISTER_SMALLEST, /* the first of the smallest */
    REGISTER_FIRST,    /* the first of the largest */
};

#define VIEW_FIELDS_MAX 4 /* per view */
#define VIEW_TABLES_MAX 4 /* per view, without those of its fields */
#define VIEWS_MAX 32

/* ---- the contract ----------------------------------------------------------------------------------------- */

struct view_record {
    int64_t seq;
    const struct message *message; /* scanned; its record bytes are borrowed from the log */
};

struct view_batch; /* view_batch.h */
struct filter;     /* filter.h */

struct view {
    const struct view_ops *ops;
    kv_table fields[VIEW_FIELDS_MAX]; /* posting lists (index_list.h), one per field, filled by the core */
    kv_table tables[VIEW_TABLES_MAX]; /* in the order of ops->tables */
    kv_table states;                  /* of all views, see view_store.h */
};

/* What a table holds; the core gathers and writes all but the last. */
enum table_shape {
    TABLE_POSTINGS,  /* index_list.h, entries are seqs; what the tables of fields are */
    TABLE_LIST,      /* index_list.h, entries with a payload */
    TABLE_REGISTERS, /* index_registers.h */
    TABLE_OWN,       /* filled by ops->write */
    TABLE_OWN_SETS,  /* the same; a key may hold several values of one size, kept sorted */
};

struct view_table {
    const char *name;
    enum table_shape shape;
    size_t slots; /* of registers: how many, and by which rule each keeps its best offer */
    const enum register_rule *rules;
};

struct view_ops {
    const char *name;
    uint32_t version;           /* raise it when what is stored changes: the core empties the view and rebuilds it */
    const struct field *fields; /* ended by a NULL name; NULL = none */
    const struct view_table *tables; /* ended by a NULL name; NULL = none. On disk "VIEW.NAME" */
    bool
        late; /* costs much: it is built after the others, and may fall behind while the log grows (flume_late_limits) */

    /* A value of a field without parse, which says several things: adds all of them to the filter, or none. ERR_ARG, ERR_REF. */
    int (*set)(const char *text, size_t len, struct filter *filter);

    /* Puts what one record says into the batch. Records come in log order, deleted ones are left out; the message is valid during the call
     * only, its record as long as the log. Any thread, but one at a time for one batch. NULL when the fields are all there is. */
    int (*gather)(struct view_batch *batch, const struct view_record *record);

    /* Writes batch->own to the tables of a shape TABLE_OWN…. Batches come in log order, on the indexer thread. NULL = there are none. */
    int (*write)(const struct view *view, struct kv_txn *txn, struct view_batch *batch);
};

/* The built-in views: extern const struct view_ops view_NAME_ops, enum view_id VIEW_NAME, in the order of views.def. */
enum view_id {
#define VIEW(name) VIEW_##name,
#include "views/views.def"
#undef VIEW
    VIEW_COUNT
};
extern const struct view_ops *const view_list[VIEW_COUNT + 1]; /* ended by NULL */

#define VIEW_MASK(name) (UINT32_C(1) << VIEW_##name)

#endif
