/* What tests do with files: a folder of their own, whole files read and written, a seeded dice. Failures end the test. */
#ifndef TESTS_SUPPORT_SCRATCH_H
#define TESTS_SUPPORT_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRATCH_PATH 512

/* A new empty folder under $TMPDIR or /tmp. scratch_remove deletes it with the files in it and frees the name. */
char *scratch_make(void);
void scratch_remove(char *folder);

void scratch_path(const char *folder, const char *name, char out[SCRATCH_PATH]);

/* The caller frees; one zero byte stands behind the `ret_len` bytes. */
char *scratch_read(const char *path, size_t *ret_len);
void scratch_write(const char *path, const void *data, size_t len);
void scratch_write_at(const char *path, const void *data, size_t len, int64_t at);
void scratch_truncate(const char *path, int64_t size);
int64_t scratch_size(const char *path);   /* -1 if there is no such file */
size_t scratch_count(const char *folder); /* files in it */

struct dice {
    uint64_t state;
    uint64_t seed;
};

/* From SLUICE_TEST_SEED, which repeats a run, else from SLUICE_TEST_DICE, which tests/run gives to all of them, else from the clock; say `seed` in
 * every message of a failure. */
struct dice dice_make(void);
uint64_t dice_roll(struct dice *dice, uint64_t sides); /* 0 … sides - 1 */

#endif
