#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/err.h"
#include "store/file.h"
#include "tests/support/scratch.h"

static char *folder;
static char path[SCRATCH_PATH];

static void setup(void)
{
    folder = scratch_make();
    scratch_path(folder, "file", path);
}

static void teardown(void)
{
    scratch_remove(folder);
}

TestSuite(file, .init = setup, .fini = teardown);

Test(file, what_is_missing_or_wrong_is_told_with_its_path)
{
    int fd = -7;
    cr_expect_eq(file_open(path, O_RDONLY, &fd), ERR_NOFILE);
    cr_expect_eq(fd, -7);
    cr_expect_not_null(strstr(err_detail(ERR_NOFILE), path));
    struct file_info info;
    cr_expect_eq(file_stat_path(path, &info), ERR_NOFILE);
    cr_expect_eq(file_stat_path(folder, &info), OK);
    cr_expect_not(info.regular);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(file_open(path, O_RDONLY, &fd), OK, "a FIFO does not block");
    cr_expect_eq(file_stat(fd, path, &info), OK);
    cr_expect_not(info.regular);
    file_close(fd);
    file_close(-1);
}

Test(file, write_read_truncate_and_rename)
{
    int fd;
    char other[SCRATCH_PATH];
    scratch_path(folder, "other", other);
    cr_assert_eq(file_open(path, O_RDWR | O_CREAT, &fd), OK);
    cr_expect_eq(file_write(fd, path, "hello world", 11, 5), OK);
    char bytes[32];
    size_t len;
    cr_expect_eq(file_read(fd, path, bytes, sizeof bytes, 10, &len), OK);
    cr_expect(len == 6 && memcmp(bytes, " world", 6) == 0, "fewer at the end of the file");
    cr_expect_eq(file_truncate(fd, path, 8), OK);
    cr_expect_eq(file_sync(fd, path), OK);
    cr_expect_eq(file_rename(path, other), OK);
    cr_expect_eq(file_sync_folder(other), OK);
    cr_expect_eq(file_sync_folder("no-slash"), OK);
    struct file_info info;
    cr_expect_eq(file_stat_path(other, &info), OK);
    cr_expect(info.size == 8 && info.regular);
    file_close(fd);
    cr_expect_eq(file_open(other, O_RDONLY, &fd), OK);
    cr_expect_eq(file_write(fd, other, "x", 1, 0), ERR_IO, "not open for writing");
    file_close(fd);
}

Test(file, a_lock_is_held_until_its_descriptor_closes)
{
    int first;
    int second;
    cr_assert_eq(file_open(path, O_RDWR | O_CREAT, &first), OK);
    cr_assert_eq(file_open(path, O_RDWR, &second), OK);
    cr_expect_eq(file_lock(first, path), 1);
    cr_expect_eq(file_lock(second, path), 0);
    file_close(first);
    cr_expect_eq(file_lock(second, path), 1);
    file_close(second);
}

Test(file, a_mapping_larger_than_the_file_sees_it_grow)
{
    int fd;
    cr_assert_eq(file_open(path, O_RDWR | O_CREAT, &fd), OK);
    void *base;
    size_t size;
    cr_assert_eq(file_map(fd, path, (size_t)1 << 36, 4096, &base, &size), OK);
    cr_expect(size >= 4096);
    cr_assert_eq(file_write(fd, path, "grown", 5, 0), OK);
    cr_expect_eq(memcmp(base, "grown", 5), 0);
    file_unmap(base, size);
    cr_assert_eq(file_map(fd, path, (size_t)1 << 62, 4096, &base, &size), OK, "less where that much is refused");
    cr_expect_lt(size, (size_t)1 << 62);
    file_unmap(base, size);
    file_unmap(NULL, 0);
    file_close(fd);
}

/* Every position and many lengths, in the order of a shuffled deck, in both directions. */
Test(file, a_window_answers_what_the_file_holds_anywhere)
{
    size_t total = 3 * FILE_WINDOW + 17;
    char *bytes = malloc(total);
    struct file_window *window = malloc(sizeof *window);
    cr_assert(bytes != NULL && window != NULL);
    struct dice dice = dice_make();
    for (size_t i = 0; i < total; i++)
        bytes[i] = (char)dice_roll(&dice, 256);
    scratch_write(path, bytes, total);
    int fd;
    cr_assert_eq(file_open(path, O_RDONLY, &fd), OK);
    for (int backward = 0; backward < 2; backward++) {
        file_window_init(window, fd, path, (int64_t)total, backward == 1);
        for (int i = 0; i < 20000; i++) {
            size_t n = 1 + dice_roll(&dice, 4096);
            size_t at = dice_roll(&dice, total + 10);
            const uint8_t *got;
            int answer = file_window_get(window, (int64_t)at, n, &got);
            cr_assert_eq(answer, at + n <= total, "SLUICE_TEST_SEED=%llu", (unsigned long long)dice.seed);
            cr_assert(answer == 0 || memcmp(got, bytes + at, n) == 0, "SLUICE_TEST_SEED=%llu",
                      (unsigned long long)dice.seed);
        }
        const uint8_t *got;
        cr_expect_eq(file_window_get(window, -1, 1, &got), 0);
        cr_expect_eq(file_window_get(window, INT64_MAX, 1, &got), 0);
    }
    scratch_truncate(path, 10);
    file_window_init(window, fd, path, (int64_t)total, false);
    const uint8_t *got;
    cr_expect_eq(file_window_get(window, 5, 6, &got), 0, "the file shrank under the window");
    file_close(fd);
    free(window);
    free(bytes);
}

Test(file, a_hole_is_known_and_data_is_never_taken_for_one)
{
    int fd;
    cr_assert_eq(file_open(path, O_RDWR | O_CREAT, &fd), OK);
    cr_assert_eq(file_truncate(fd, path, 10 << 20), OK);
    cr_assert_eq(file_write(fd, path, "data", 4, 5 << 20), OK);
    cr_expect_not(file_is_hole(fd, 0, 10 << 20));
    cr_expect_not(file_is_hole(fd, (5 << 20) + 1, 1));
    file_close(fd);
}
