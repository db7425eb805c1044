/* The view contract: what a view is, and what the core (flume.h) does for all of them.
 *
 * A view derives tables from the log. It says its name, its version, the fields that messages can be found by, the tables of its own, and
 * how a batch of records changes them. apply is a pure function of the records and the tables: no clock, no network, no state of the
 * view in memory, so that incremental == batched == rebuilt. The core opens the tables, commits them in one transaction together with
 * `since`, keeps readers waiting until a view is fresh, and empties and rebuilds a view whose version, log or position does not fit.
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

/* The text of a string's term, borrowed from it; false if the term keeps only its beginning (then a record must be asked). */
bool term_text(const struct term *term, struct slice *ret_text);

/* Takes one term of a message; 0 to go on, anything else ends the emitting and is answered by it. */
typedef int term_fn(void *ctx, const struct term *term);

/* A field says how a message is found: both evaluators of a filter (stored and live) use this one definition. */
struct field {
    const char *name; /* as in the API: "author" */
    /* A value as it stands in a query. *ret_negate: messages WITHOUT the term are meant (private=false). ERR_REF, ERR_ARG. */
    int (*parse)(const char *text, size_t len, struct term *ret_term, bool *ret_negate);
    /* Calls fn for every place in the message that has a term; the same term may come several times. */
    int (*emit)(const struct message *message, term_fn *fn, void *ctx);
};

#define VIEW_FIELDS_MAX 4 /* per view */
#define VIEW_TABLES_MAX 4 /* per view, without those of its fields */
#define VIEWS_MAX 32

/* ---- the contract ----------------------------------------------------------------------------------------- */

struct view_record {
    int64_t seq;
    const struct message *message; /* scanned; its record bytes are borrowed from the log */
};

struct view {
    const struct view_ops *ops;
    kv_table fields[VIEW_FIELDS_MAX]; /* posting lists (index_list.h), one per field, filled by the core */
    kv_table tables[VIEW_TABLES_MAX]; /* in the order of ops->tables */
    kv_table states;                  /* of all views, see view_store.h */
};

struct view_ops {
    const char *name;
    uint32_t version;           /* raise it when what is stored changes: the core empties the view and rebuilds it */
    const struct field *fields; /* ended by a NULL name; NULL = none */
    const struct view_table {
        const char *name;
        bool dupsort;
    } *tables; /* ended by a NULL name; NULL = none. On disk "VIEW.NAME" */

    /* Records in log order, all above the view's since, deleted ones left out. NULL when the fields are all there is. */
    int (*apply)(const struct view *view, struct kv_txn *txn, const struct view_record *records, size_t n);
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
