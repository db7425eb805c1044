/* Preloaded into the server by `make soak-proof`: faults that a soak exists to find. SOAK_INJECT says which:
 * memory = some blocks are never given back, descriptors = some closes leave one behind, lag = every sync of the disk
 * takes longer than the one before. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FREE_EVERY 64
#define CLOSE_EVERY 64
#define SYNC_STEP_NS 100000

enum fault { FAULT_NONE, FAULT_MEMORY, FAULT_DESCRIPTORS, FAULT_LAG };

static _Atomic int fault;
static atomic_ulong frees, closes, syncs;

void __libc_free(void *block); /* dlsym itself gives memory back: the real one has to be known without it */

__attribute__((constructor)) static void fault_choose(void)
{
    const char *name = getenv("SOAK_INJECT");
    if (name == NULL) return;
    if (strcmp(name, "memory") == 0) fault = FAULT_MEMORY;
    if (strcmp(name, "descriptors") == 0) fault = FAULT_DESCRIPTORS;
    if (strcmp(name, "lag") == 0) fault = FAULT_LAG;
}

void free(void *block)
{
    bool lost = fault == FAULT_MEMORY && block != NULL && ++frees % FREE_EVERY == 0;
    if (!lost) __libc_free(block);
}

int close(int fd)
{
    if (fault == FAULT_DESCRIPTORS && ++closes % CLOSE_EVERY == 0) (void)dup(STDERR_FILENO);
    return (int)syscall(SYS_close, fd);
}

int fdatasync(int fd)
{
    if (fault == FAULT_LAG) {
        unsigned long ns = ++syncs * SYNC_STEP_NS;
        struct timespec pause = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
        (void)nanosleep(&pause, NULL);
    }
    return (int)syscall(SYS_fdatasync, fd);
}
