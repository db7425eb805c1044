/* What must hold after every crash, checked on the folder of a log that nobody has open. What does not hold ends the process with
 * a text; `where` is in it. */
#ifndef TESTS_CRASH_CHECK_H
#define TESTS_CRASH_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/log.h"

/* Ends the process when `ok` is false. */
void check_that(bool ok, const char *where, const char *what, ...) __attribute__((format(printf, 3, 4)));

/* Opens it as its owner, as a program that starts does. */
struct log *check_open(const char *path, const char *where);

/* The file is whole records from its first byte to its last. Answers how many. */
int64_t check_whole(const char *path, const char *where);

/* What the views in `views_dir` say once they are at the head equals what views say that are built from nothing. */
void check_views(const char *path, const char *views_dir, const char *where);

/* What was tried, in order, and what of it must be there. */
struct ledger {
    struct ledger_entry {
        int64_t seq; /* SEQ_EMPTY when the append failed: it may be there or not */
        uint64_t hash;
        bool acked;
    } * entries;
    size_t count, cap;
};

void ledger_free(struct ledger *ledger);
void ledger_reserve(struct ledger *ledger, size_t count); /* so that ledger_add asks for no memory */
void ledger_add(struct ledger *ledger, struct slice value, int64_t seq);
void ledger_ack(struct ledger *ledger); /* all that were appended so far are durable */

/* Every record of the log is one of the ledger, in its order, and none is missing that was acknowledged. */
void check_ledger(const struct ledger *ledger, const char *path, const char *where);

/* Removes what is in the folder, the folders in it too. */
void check_empty(const char *folder);

#endif
