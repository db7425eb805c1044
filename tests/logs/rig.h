/* One suite for every kind of log: a check is written once and run on each rig. */
#ifndef TESTS_LOGS_RIG_H
#define TESTS_LOGS_RIG_H

#include "store/log.h"
#include "tests/support/scratch.h"

struct rig {
    const char *kind; /* for messages */
    struct log *writer;
    struct log *reader; /* the same as writer, or a follower of its file */
    char *folder;
    char path[SCRATCH_PATH]; /* empty for a log without a file */
    enum log_codec codec;
};

/* Opens a fresh rig of each kind, runs `check` on it, closes it. */
void rig_each(void (*check)(struct rig *rig));

/* Lets the reader see what the writer has written. */
void rig_settle(struct rig *rig);

/* Appends one record of text to the writer and settles. */
int64_t rig_put(struct rig *rig, const char *text);

/* The next record of the cursor, which must be one, as text to compare with. */
void rig_expect(struct rig *rig, struct log_cursor *cursor, int64_t seq, const char *text);

/* Frees and opens anew; a log without a file is left as it is. */
void rig_reopen(struct rig *rig);

#endif
