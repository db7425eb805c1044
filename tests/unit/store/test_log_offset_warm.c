/* What is in memory is made present in idle moments, and nothing else. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/support/scratch.h"
#include "tests/unit/store/offset_kit.h"

TestSuite(log_offset_warm, .init = offset_begin, .fini = offset_end, .timeout = 300);

static void put_mib(struct log *log, int mib)
{
    static char large[1 << 20];
    memset(large, 'x', sizeof large);
    struct slice value = { large, sizeof large };
    for (int i = 0; i < mib; i++)
        cr_assert_eq(log_append(log, &value, 1, NULL), OK);
}

/* Pages of files that this process has mapped and present, in KiB. */
static int64_t present_kib(void)
{
    char line[200];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "r");
    cr_assert_not_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "RssFile: %ld", &kib) == 1) break;
    (void)fclose(file);
    return kib;
}

Test(log_offset_warm, what_is_in_memory_is_present_after_warming)
{
    struct log *owner = offset_open(false, LOG_CODEC_AUTO);
    put_mib(owner, 16);
    struct log *log = offset_open(true, LOG_CODEC_AUTO);
    int fd = open(offset_path, O_RDONLY);
    char byte;
    const struct iovec one = { &byte, 1 };
    bool told = fd >= 0 && preadv2(fd, &one, 1, 0, RWF_NOWAIT) == 1;
    int64_t before = present_kib();
    cr_expect_eq(offset_warm_all(log), 9, "2 MiB at a time, and the rest");
    int64_t more = present_kib() - before;
    if (told) cr_expect_gt(more, 12 << 10, "%lld KiB more", (long long)more);
    cr_expect_eq(offset_count(log, false), 16);
    if (fd >= 0) (void)close(fd);
    log_close(log);
    log_close(owner);
}

Test(log_offset_warm, warming_a_file_that_was_cut_is_no_crash_and_no_change)
{
    struct log *owner = offset_open(false, LOG_CODEC_AUTO);
    put_mib(owner, 5);
    struct log *log = offset_open(true, LOG_CODEC_AUTO);
    struct log *other = offset_open(true, LOG_CODEC_AUTO);
    cr_expect(log_warm(log));
    scratch_truncate(offset_path, 5000);
    (void)offset_warm_all(log);
    (void)offset_warm_all(other);
    cr_expect_eq(offset_get_code(other, 0), ERR_CHANGED);
    log_close(log);
    log_close(other);
    log_close(owner);
}
