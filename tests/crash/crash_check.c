/* Checks a log's folder that nobody has open, for the tests that kill the program or fill its disk.
 *
 * Usage: crash_check FOLDER: opens the log as a program that starts would, and says what is wrong, or "N records" and exit code 0. */
#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "tests/crash/check.h"
#include "tests/support/scratch.h"

int main(int argc, char **argv)
{
    char path[SCRATCH_PATH], views[SCRATCH_PATH];
    if (argc != 2 || strlen(argv[1]) + 32 > SCRATCH_PATH) {
        (void)fprintf(stderr, "usage: crash_check FOLDER\n");
        return 64;
    }
    scratch_path(argv[1], "log.offset", path);
    scratch_path(argv[1], "views", views);
    log_close(check_open(path, argv[1]));
    int64_t records = check_whole(path, argv[1]);
    check_views(path, views, argv[1]);
    (void)printf("%lld records\n", (long long)records);
    return 0;
}
