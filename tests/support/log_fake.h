/* A log on a disk of lies: it can be followed, replaced, deleted from, and told to fail. What is "on disk" outlives the log
 * that has it open. seqs have gaps as in a file, so that seq + 1 is never the next record. Thread-safe. */
#ifndef TESTS_SUPPORT_LOG_FAKE_H
#define TESTS_SUPPORT_LOG_FAKE_H

#include "store/log.h"

struct fake_disk;

struct fake_disk *fake_disk_make(bool follow);
void fake_disk_free(struct fake_disk *disk); /* no log may be open */

/* For flume_options.open_log; ctx = the disk. */
int fake_disk_open(void *disk, struct log **ret_log);

/* The seqs of the records that come are so much farther apart, as in a log of many GiB. */
void fake_disk_spread(struct fake_disk *disk, int64_t gap);

/* As the owner of a followed file. Answers the record's seq. */
int64_t fake_disk_write(struct fake_disk *disk, const char *text);
void fake_disk_replace(struct fake_disk *disk,
                       bool keep_records); /* by another file: logs that are open say ERR_CHANGED */
void fake_disk_delete(struct fake_disk *disk, int64_t seq);
void fake_disk_rewrite(struct fake_disk *disk, int64_t seq, const char *text); /* of the same length */
void fake_disk_lose_unsynced(struct fake_disk *disk);                          /* as a power cut would */

/* Codes with which the next calls fail; OK = they do not. */
void fake_disk_fail(struct fake_disk *disk, int append, int sync, int open);

/* Syncs that begin wait until they are let go: what is written stays not durable for as long as a test looks. */
void fake_disk_hold_syncs(struct fake_disk *disk, bool hold);

/* Each sync takes so long, as on a disk that is slow. */
void fake_disk_slow_syncs(struct fake_disk *disk, unsigned us);

unsigned fake_disk_appends(struct fake_disk *disk);
unsigned fake_disk_syncs(struct fake_disk *disk);
size_t fake_disk_count(struct fake_disk *disk);

#endif
