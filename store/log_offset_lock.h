/* The file beside an owned log: who owns it, and up to where it is known to be on the disk.
 *
 * The lock is the kernel's (flock) and goes with the process. The text is `PID SP END LF`, always of one length, so that it
 * is written over in place, in one sector and on a full disk too. END never says more than was synced: it is written after an fsync
 * of the log. The log_offset's opening and appending thread. */
#ifndef STORE_LOG_OFFSET_LOCK_H
#define STORE_LOG_OFFSET_LOCK_H

#include "store/log_offset_impl.h"

/* END is written anew when so many more bytes of the log are durable: it bounds what opening reads after a crash. */
#define LOCK_MARK_STEP ((int64_t)1 << 20)

/* Takes the lock; ERR_BUSY names the owner. ret_end: what was durable for an owner that has not ended orderly, else -1. */
int lock_open(struct log_offset *log, int64_t *ret_end);

/* Writes down that the log is durable up to log->synced, and with `sync` makes that survive a power cut. */
int lock_mark(struct log_offset *log, bool sync);

/* Leaves no pid, which would mislead, but what is durable. Not having the lock is fine. */
void lock_close(struct log_offset *log);

#endif
