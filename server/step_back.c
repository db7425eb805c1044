#include "server/step_back.h"

#include <sys/resource.h>
#include <unistd.h>

#define NICER 5

void step_back(void)
{
    /* Linux has a niceness for each thread. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + NICER);
}
