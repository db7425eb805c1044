#include "store/mapguard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/err.h"

/* Read by the signal handler without a lock: `size` is written last and cleared first, 0 = free. */
struct guard {
    _Atomic uintptr_t base;
    _Atomic size_t size;
    _Atomic(atomic_int *) flag;
    atomic_int value;
};

static struct guard guards[MAPGUARD_MAX];
static pthread_mutex_t guards_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction guard_previous;
static uintptr_t guard_page;
static int guard_install_errno;

static struct guard *guard_of(uintptr_t address)
{
    for (size_t i = 0; i < MAPGUARD_MAX; i++) {
        size_t size = atomic_load(&guards[i].size);
        uintptr_t base = atomic_load(&guards[i].base);
        if (size != 0 && address >= base && address - base < size) return &guards[i];
    }
    return NULL;
}

static void guard_chain(int signal_number, siginfo_t *info, void *context)
{
    if ((guard_previous.sa_flags & SA_SIGINFO) != 0) {
        guard_previous.sa_sigaction(signal_number, info, context);
    } else if (guard_previous.sa_handler == SIG_IGN && info->si_code <= 0) {
        return;
    } else if (guard_previous.sa_handler == SIG_DFL || guard_previous.sa_handler == SIG_IGN) {
        /* The instruction runs again on return and dies of the default action; a sent signal must be sent again. */
        struct sigaction dfl = { .sa_handler = SIG_DFL };
        (void)sigaction(signal_number, &dfl, NULL);
        if (info->si_code <= 0) (void)raise(signal_number);
    } else {
        guard_previous.sa_handler(signal_number);
    }
}

static void guard_on_sigbus(int signal_number, siginfo_t *info, void *context)
{
    int saved = errno;
    uintptr_t address = (uintptr_t)info->si_addr;
    struct guard *guard = info->si_code > 0 ? guard_of(address) : NULL;
    if (guard == NULL) {
        guard_chain(signal_number, info, context);
        errno = saved;
        return;
    }
    uintptr_t page = address & ~(guard_page - 1);
    size_t rest = atomic_load(&guard->base) + atomic_load(&guard->size) - page;
    /* The bare system call: a sanitizer's wrapper of mmap is not made for signal handlers. */
    long mapped =
        syscall(SYS_mmap, page, rest, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    int unset = 0;
    (void)atomic_compare_exchange_strong(atomic_load(&guard->flag), &unset, atomic_load(&guard->value));
    if (mapped == -1) guard_chain(signal_number, info, context);
    errno = saved;
}

static void guard_install(void)
{
    guard_page = (uintptr_t)sysconf(_SC_PAGESIZE);
    struct sigaction action = { .sa_sigaction = guard_on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    (void)sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, &guard_previous) != 0) guard_install_errno = errno;
}

int mapguard_add(void *base, size_t size, atomic_int *flag, int value)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, guard_install);
    if (guard_install_errno != 0) {
        errno = guard_install_errno;
        return err_errno("SIGBUS", "install a handler");
    }
    int err = err_set(ERR_LIMIT, "more than %d files are mapped at once", MAPGUARD_MAX);
    (void)pthread_mutex_lock(&guards_mutex);
    for (size_t i = 0; i < MAPGUARD_MAX; i++) {
        if (atomic_load(&guards[i].size) != 0) continue;
        atomic_store(&guards[i].base, (uintptr_t)base);
        atomic_store(&guards[i].flag, flag);
        atomic_store(&guards[i].value, value);
        atomic_store(&guards[i].size, size);
        err = OK;
        break;
    }
    (void)pthread_mutex_unlock(&guards_mutex);
    return err;
}

void mapguard_remove(const void *base)
{
    (void)pthread_mutex_lock(&guards_mutex);
    for (size_t i = 0; i < MAPGUARD_MAX; i++)
        if (atomic_load(&guards[i].base) == (uintptr_t)base) {
            atomic_store(&guards[i].size, 0);
            atomic_store(&guards[i].base, 0);
        }
    (void)pthread_mutex_unlock(&guards_mutex);
}
