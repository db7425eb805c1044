/* What others made of the messages of a thread: votes for them, and threads that came out of them.
 *
 * A message says who its root is in a reference, so the list of all references to a message is enough to find both, and of what
 * refers to a message of a thread nearly everything is another message of it, which is known. A root that stands behind MESSAGE_REFS_MAX
 * other references is in no such list, and does not count. */
#ifndef VIEWS_THREAD_TALLY_H
#define VIEWS_THREAD_TALLY_H

#include "views/thread.h"

struct thread_tally {
    uint64_t votes; /* above 0, one of each author (votes.h) */
    uint64_t forks; /* messages that name it as their root */
};

/* Of each message of the thread of `root`; the caller frees *ret_tallies. Reads the views links and types. ERR_SLOW past the deadline of `read`. */
int thread_tallies(const struct flume_read *read, const struct thread *thread, const struct ref *root,
                   struct thread_tally **ret_tallies);

#endif
