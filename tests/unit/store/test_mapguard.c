#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/err.h"
#include "store/file.h"
#include "store/mapguard.h"
#include "tests/support/scratch.h"

#define PAGES 8
#define SIZE (PAGES * 4096)

static char *folder;
static char path[SCRATCH_PATH];
static int fd;
static volatile unsigned char *map;

static void setup(void)
{
    folder = scratch_make();
    scratch_path(folder, "mapped", path);
    static char bytes[SIZE];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = 'x';
    scratch_write(path, bytes, sizeof bytes);
    void *base;
    size_t size;
    cr_assert_eq(file_open(path, O_RDWR, &fd), OK);
    cr_assert_eq(file_map(fd, path, SIZE, SIZE, &base, &size), OK);
    map = base;
}

static void teardown(void)
{
    (void)munmap((void *)(uintptr_t)map, SIZE);
    file_close(fd);
    scratch_remove(folder);
}

TestSuite(mapguard, .init = setup, .fini = teardown);

Test(mapguard, a_truncated_mapping_reads_as_zeros_and_is_flagged)
{
    atomic_int flag = 0;
    cr_assert_eq(mapguard_add((void *)(uintptr_t)map, SIZE, &flag, 42), OK);
    cr_expect_eq(map[3 * 4096], 'x');
    scratch_truncate(path, 4096 + 1);
    cr_expect(map[4096] == 'x' && map[4097] == 0 && atomic_load(&flag) == 0,
              "the rest of the last page needs no guard");
    cr_expect_eq(map[5 * 4096 + 7], 0);
    cr_expect_eq(atomic_load(&flag), 42);
    cr_expect_eq(map[SIZE - 1], 0);
    cr_expect_eq(map[2 * 4096], 0, "a page before the first fault faults by itself");
    cr_expect_eq(map[0], 'x');
    mapguard_remove((void *)(uintptr_t)map);
    mapguard_remove("unknown");
}

Test(mapguard, a_flag_that_is_set_keeps_its_value)
{
    atomic_int flag = 7;
    cr_assert_eq(mapguard_add((void *)(uintptr_t)map, SIZE, &flag, 42), OK);
    scratch_truncate(path, 0);
    cr_expect_eq(map[0], 0);
    cr_expect_eq(atomic_load(&flag), 7);
    mapguard_remove((void *)(uintptr_t)map);
}

/* Runs `body` in a child; answers the signal that killed it, or 0. */
static int killed_by(void (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        body();
        _exit(0);
    }
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void default_sigbus(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    (void)sigaction(SIGBUS, &action, NULL);
}

static void touch_unguarded(void)
{
    atomic_int flag = 0;
    static char other[4096];
    default_sigbus();
    (void)mapguard_add(other, sizeof other, &flag, 1);
    scratch_truncate(path, 0);
    (void)map[0];
}

Test(mapguard, a_fault_elsewhere_still_kills)
{
    cr_expect_eq(killed_by(touch_unguarded), SIGBUS);
}

static void send_sigbus(void)
{
    atomic_int flag = 0;
    default_sigbus();
    (void)mapguard_add((void *)(uintptr_t)map, SIZE, &flag, 1);
    (void)raise(SIGBUS);
}

Test(mapguard, a_sent_signal_still_kills)
{
    cr_expect_eq(killed_by(send_sigbus), SIGBUS);
}

static void ignore_sigbus(void)
{
    struct sigaction action = { .sa_handler = SIG_IGN };
    (void)sigaction(SIGBUS, &action, NULL);
    atomic_int flag = 0;
    (void)mapguard_add((void *)(uintptr_t)map, SIZE, &flag, 1);
    (void)raise(SIGBUS);
}

Test(mapguard, a_sent_signal_stays_ignored)
{
    cr_expect_eq(killed_by(ignore_sigbus), 0);
}

static void earlier_handler(int signal_number)
{
    _exit(signal_number == SIGBUS ? 33 : 34);
}

Test(mapguard, an_earlier_handler_gets_what_is_not_guarded)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sigaction action = { .sa_handler = earlier_handler };
        (void)sigaction(SIGBUS, &action, NULL);
        static char other[4096];
        atomic_int flag = 0;
        (void)mapguard_add(other, sizeof other, &flag, 1);
        scratch_truncate(path, 0);
        (void)map[0];
        _exit(0);
    }
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 33, "status %d", status);
}

Test(mapguard, there_is_a_limit_and_places_are_used_again)
{
    static char bytes[MAPGUARD_MAX + 1];
    atomic_int flag = 0;
    for (size_t i = 0; i < MAPGUARD_MAX; i++)
        cr_assert_eq(mapguard_add(bytes + i, 1, &flag, 1), OK);
    cr_expect_eq(mapguard_add(bytes + MAPGUARD_MAX, 1, &flag, 1), ERR_LIMIT);
    mapguard_remove(bytes + 5);
    cr_expect_eq(mapguard_add(bytes + MAPGUARD_MAX, 1, &flag, 1), OK);
    for (size_t i = 0; i <= MAPGUARD_MAX; i++)
        mapguard_remove(bytes + i);
}
