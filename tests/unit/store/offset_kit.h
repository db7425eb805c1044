/* A file of the offset log in a folder of its own, one for each test, and what flumelog-offset has written into such files. */
#ifndef TESTS_UNIT_STORE_OFFSET_KIT_H
#define TESTS_UNIT_STORE_OFFSET_KIT_H

#include "store/log.h"
#include "tests/support/scratch.h"

#define OFFSET_FIXTURES "tests/fixtures/logs/"
#define OFFSET_RECORDS 12

/* tests/fixtures/logs/index.json */
struct offset_fixture {
    char name[40];
    enum log_codec codec;
    int64_t since;
    int64_t seqs[OFFSET_RECORDS];
};
extern const struct offset_fixture offset_fixtures[4];

/* Where the log of the test is: there is no file yet. */
extern char *offset_folder;
extern char offset_path[SCRATCH_PATH];

/* .init and .fini of a suite. */
void offset_begin(void);
void offset_end(void);

/* LOG_CODEC_AUTO = by looking. offset_open fails the test if it cannot be opened. */
int offset_open_code(bool follow, enum log_codec codec, struct log **ret_log);
struct log *offset_open(bool follow, enum log_codec codec);
/* The log is a copy of that fixture. */
void offset_use(const char *name);

/* Appends a text and answers its seq. */
int64_t offset_put(struct log *log, const char *text);
int offset_get_code(struct log *log, int64_t seq);
/* How many records are walked over, or the error that ends the walk. */
int64_t offset_count(struct log *log, bool reverse);
/* The log holds the records of the fixture, at their seqs. */
void offset_expect(struct log *log, const struct offset_fixture *fixture);
/* Warms until there is nothing more to warm; answers in how many steps. */
int64_t offset_warm_all(struct log *log);

#endif
