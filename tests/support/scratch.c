#include "tests/support/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MUST(condition, ...)                      \
    do {                                          \
        if (!(condition)) must_fail(__VA_ARGS__); \
    } while (0)

/* Not an assertion of Criterion: programs without it use these functions too. */
static _Noreturn void must_fail(const char *doing, const char *path)
{
    (void)fprintf(stderr, "scratch: %s: %s\n", doing, path);
    abort();
}

char *scratch_make(void)
{
    const char *under = getenv("TMPDIR");
    char name[SCRATCH_PATH];
    (void)snprintf(name, sizeof name, "%s/sluice-test-XXXXXX", under != NULL && under[0] != '\0' ? under : "/tmp");
    MUST(mkdtemp(name) != NULL, "mkdtemp", name);
    return strdup(name);
}

/* Calls `fn` (may be NULL) with every file of the folder; answers how many there are. */
static size_t each_file(const char *folder, int (*fn)(const char *path))
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char path[SCRATCH_PATH];
        scratch_path(folder, entry->d_name, path);
        if (fn != NULL) (void)fn(path);
        count++;
    }
    if (dir != NULL) (void)closedir(dir);
    return count;
}

void scratch_remove(char *folder)
{
    if (folder == NULL) return;
    (void)each_file(folder, unlink);
    (void)rmdir(folder);
    free(folder);
}

size_t scratch_count(const char *folder)
{
    return each_file(folder, NULL);
}

void scratch_path(const char *folder, const char *name, char out[SCRATCH_PATH])
{
    int len = snprintf(out, SCRATCH_PATH, "%s/%s", folder, name);
    MUST(len > 0 && len < SCRATCH_PATH, "path too long", name);
}

char *scratch_read(const char *path, size_t *ret_len)
{
    int64_t size = scratch_size(path);
    MUST(size >= 0, "no such file", path);
    char *data = calloc(1, (size_t)size + 1);
    FILE *file = fopen(path, "rb");
    MUST(data != NULL && file != NULL, "open", path);
    *ret_len = fread(data, 1, (size_t)size, file);
    (void)fclose(file);
    return data;
}

void scratch_write(const char *path, const void *data, size_t len)
{
    FILE *file = fopen(path, "wb");
    MUST(file != NULL, "create", path);
    MUST(fwrite(data, 1, len, file) == len, "write", path);
    MUST(fclose(file) == 0, "write", path);
}

void scratch_write_at(const char *path, const void *data, size_t len, int64_t at)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    MUST(fd >= 0, "open", path);
    MUST(pwrite(fd, data, len, at) == (ssize_t)len, "write", path);
    (void)close(fd);
}

void scratch_truncate(const char *path, int64_t size)
{
    MUST(truncate(path, size) == 0, "truncate", path);
}

int64_t scratch_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : -1;
}

struct dice dice_make(void)
{
    const char *given = getenv("SLUICE_TEST_SEED");
    if (given == NULL) given = getenv("SLUICE_TEST_DICE");
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)now.tv_nsec ^ ((uint64_t)now.tv_sec << 20);
    return (struct dice){ .state = seed * 2 + 1, .seed = seed };
}

uint64_t dice_roll(struct dice *dice, uint64_t sides)
{
    /* splitmix64 */
    uint64_t z = dice->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % sides;
}
