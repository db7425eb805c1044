#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/blob_dir.h"
#include "store/err.h"
#include "tests/support/scratch.h"

static char *folder;
static struct blob_dir *dir;

static void begin(void)
{
    folder = scratch_make();
    cr_assert_eq(blob_dir_open(folder, true, &dir), OK);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

static void end(void)
{
    blob_dir_free(dir);
    cr_expect_eq(nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(folder);
}

TestSuite(blob_dir, .init = begin, .fini = end, .timeout = 300);

static int add(const char *text, uint8_t id[BLOB_ID_BYTES], bool *is_new)
{
    struct blob_upload *upload;
    int err = blob_upload_begin(dir, 1000, &upload);
    if (err != OK) return err;
    err = blob_upload_write(upload, text, strlen(text));
    if (err == OK) err = blob_upload_keep(upload, id, is_new);
    blob_upload_free(upload);
    return err;
}

/* Writes over the file of a blob; it counts as settled. */
static void spoil(const uint8_t id[BLOB_ID_BYTES], const char *text)
{
    char path[600], hex[2 * BLOB_ID_BYTES + 1];
    (void)sodium_bin2hex(hex, sizeof hex, id, BLOB_ID_BYTES);
    (void)snprintf(path, sizeof path, "%s/sha256/%.2s/%s", folder, hex, hex + 2);
    int fd = open(path, O_WRONLY | O_TRUNC);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static int check(const uint8_t id[BLOB_ID_BYTES])
{
    struct blob_file file;
    int err = blob_open(dir, id, &file);
    if (err != OK) return err;
    err = blob_check(dir, id, &file, NULL);
    blob_close(&file);
    return err;
}

Test(blob_dir, what_is_added_is_there_under_its_hash)
{
    uint8_t id[BLOB_ID_BYTES], hash[BLOB_ID_BYTES];
    bool is_new;
    cr_assert_eq(add("a blob", id, &is_new), OK);
    cr_expect(is_new);
    (void)crypto_hash_sha256(hash, (const uint8_t *)"a blob", 6);
    cr_expect_eq(memcmp(id, hash, sizeof id), 0);
    cr_expect_eq(check(id), OK);
    cr_expect(blob_is_here(dir, id));
    cr_assert_eq(add("a blob", id, &is_new), OK);
    cr_expect_not(is_new);
    id[0] ^= 1;
    cr_expect_eq(check(id), ERR_NOFILE);
    cr_expect_not(blob_is_here(dir, id));
}

Test(blob_dir, a_file_that_holds_something_else_is_bad)
{
    uint8_t id[BLOB_ID_BYTES];
    bool is_new;
    cr_assert_eq(add("a blob", id, &is_new), OK);
    spoil(id, "a clob");
    cr_expect_eq(check(id), ERR_CORRUPT);
    cr_assert_eq(add("a blob", id, &is_new), OK);
    cr_expect(is_new, "a damaged file is replaced");
    cr_expect_eq(check(id), OK);
}

/* The verdict that is remembered of a file, once its times have settled. */
static enum blob_verdict settled(const uint8_t id[BLOB_ID_BYTES], struct blob_file *file)
{
    for (int i = 0; i < 2000; i++) {
        cr_assert_eq(blob_open(dir, id, file), OK);
        (void)blob_check(dir, id, file, NULL);
        enum blob_verdict verdict = blob_known(dir, id, file);
        if (verdict != BLOB_UNKNOWN) return verdict;
        blob_close(file);
        const struct timespec pause = { .tv_nsec = 10000000 };
        (void)nanosleep(&pause, NULL);
    }
    cr_assert(false, "a file is never remembered");
    return BLOB_UNKNOWN;
}

Test(blob_dir, a_file_that_was_good_and_changes_is_not_known)
{
    uint8_t id[BLOB_ID_BYTES];
    bool is_new;
    struct blob_file file;
    cr_assert_eq(add("a blob", id, &is_new), OK);
    cr_assert_eq(settled(id, &file), BLOB_GOOD);
    blob_close(&file);
    spoil(id, "a clob");
    cr_assert_eq(blob_open(dir, id, &file), OK);
    cr_expect_eq(blob_known(dir, id, &file), BLOB_UNKNOWN);
    blob_close(&file);
    cr_expect_eq(settled(id, &file), BLOB_BAD);
    blob_close(&file);
    cr_expect_not(blob_is_here(dir, id), "who waits for it waits on");
}

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

Test(blob_dir, a_file_that_is_written_while_it_is_hashed_is_neither_good_nor_bad)
{
    uint8_t id[BLOB_ID_BYTES];
    bool is_new;
    struct blob_file file;
    cr_assert_eq(add("a blob", id, &is_new), OK);
    cr_assert_eq(blob_open(dir, id, &file), OK);
    spoil(id, "longer than it was");
    cr_expect_eq(blob_check(dir, id, &file, NULL), ERR_CHANGED);
    cr_expect_eq(blob_known(dir, id, &file), BLOB_UNKNOWN);
    blob_close(&file);
}

/* Its times may stand still while it changes once more. */
Test(blob_dir, a_file_that_was_just_written_is_not_remembered)
{
    for (int i = 0; i < 20; i++) {
        char text[16];
        uint8_t id[BLOB_ID_BYTES];
        bool is_new;
        struct blob_file file;
        double began = seconds_now();
        (void)snprintf(text, sizeof text, "blob %d", i);
        cr_assert_eq(add(text, id, &is_new), OK);
        cr_assert_eq(check(id), OK);
        cr_assert_eq(blob_open(dir, id, &file), OK);
        enum blob_verdict verdict = blob_known(dir, id, &file);
        blob_close(&file);
        if (seconds_now() - began > 1) continue; /* who was held up that long may find a file that has settled */
        cr_expect_eq(verdict, BLOB_UNKNOWN);
        return;
    }
    cr_assert(false, "no time at all");
}

Test(blob_dir, an_upload_has_a_limit)
{
    struct blob_upload *upload;
    cr_assert_eq(blob_upload_begin(dir, 10, &upload), OK);
    cr_expect_eq(blob_upload_write(upload, "12345", 5), OK);
    cr_expect_eq(blob_upload_write(upload, "678901", 6), ERR_LIMIT);
    cr_expect_eq(blob_upload_write(upload, "67890", 5), OK);
    cr_expect_eq(blob_upload_write(upload, "1", 1), ERR_LIMIT);
    cr_expect_eq(blob_upload_size(upload), 10);
    blob_upload_free(upload);
}

Test(blob_dir, uploads_at_once_have_a_limit)
{
    struct blob_upload *uploads[BLOB_UPLOADS_MAX], *more = NULL;
    for (size_t i = 0; i < BLOB_UPLOADS_MAX; i++)
        cr_assert_eq(blob_upload_begin(dir, 10, &uploads[i]), OK);
    cr_expect_eq(blob_upload_begin(dir, 10, &more), ERR_QUEUE);
    cr_expect_null(more);
    blob_upload_free(uploads[0]);
    cr_expect_eq(blob_upload_begin(dir, 10, &uploads[0]), OK);
    for (size_t i = 0; i < BLOB_UPLOADS_MAX; i++)
        blob_upload_free(uploads[i]);
}

Test(blob_dir, the_folder_of_another_is_not_written)
{
    struct blob_dir *other;
    struct blob_upload *upload = NULL;
    cr_assert_eq(blob_dir_open(folder, false, &other), OK);
    cr_expect_eq(blob_upload_begin(other, 10, &upload), ERR_READONLY);
    blob_dir_free(other);
}

Test(blob_dir, a_check_can_be_stopped)
{
    uint8_t id[BLOB_ID_BYTES];
    bool is_new;
    struct blob_file file;
    atomic_bool stop;
    atomic_init(&stop, true);
    cr_assert_eq(add("a blob", id, &is_new), OK);
    cr_assert_eq(blob_open(dir, id, &file), OK);
    cr_expect_eq(blob_check(dir, id, &file, &stop), ERR_CLOSED);
    cr_expect_eq(blob_known(dir, id, &file), BLOB_UNKNOWN);
    blob_close(&file);
}
