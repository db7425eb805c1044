/* A mapped file can shrink under its reader, and then a touch behind its end raises SIGBUS. The guard turns that into zeros
 * and a flag: the faulting page, and all that follow it in the mapping, are replaced by zero pages for good.
 *
 * The handler is installed once for the process, by the first mapguard_add; a fault at an address that no guarded mapping
 * holds goes to whatever handled SIGBUS before. */
#ifndef STORE_MAPGUARD_H
#define STORE_MAPGUARD_H

#include <stdatomic.h>
#include <stddef.h>

#define MAPGUARD_MAX 256

/* On a fault inside [base, base + size), `*flag` becomes `value` unless it is set (non-zero) already. Any thread.
 * ERR_LIMIT when MAPGUARD_MAX mappings are guarded. */
int mapguard_add(void *base, size_t size, atomic_int *flag, int value);

/* Before the mapping is unmapped, when no thread reads it any more. An unknown base is fine. */
void mapguard_remove(const void *base);

#endif
