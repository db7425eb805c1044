/* A log as the owner of a secret reads it: the same records under the same seqs, those that are encrypted for him opened (private_record.h). It is one to read:
 * nothing is appended through it, and the log below goes on by itself. */
#ifndef STORE_LOG_OPENED_H
#define STORE_LOG_OPENED_H

#include "store/box1.h"
#include "store/log.h"

struct log_opened_options {
    /* The log below as it is now, and what of it may be shown after a look at what its owner has written. A log that was replaced stays open until all that were opened over
     * it are closed. */
    struct log *(*below)(void *ctx);
    int64_t (*look)(void *ctx);
    void *ctx;
    const struct box1_key *key; /* outlives the log */
    const struct ref *reader;   /* whose key it is: what is derived for one reader is of no use to another */
    const char *folder;         /* for opened.h */
};

/* log_refresh answers ERR_CHANGED when `below` gives another log than at the beginning. */
int log_opened_open(const struct log_opened_options *options, struct log **ret_log);

#endif
