/* Listening sockets: what `--listen` says, bound. */
#ifndef SERVER_DOORS_H
#define SERVER_DOORS_H

#include <stdbool.h>
#include <sys/types.h>

#include "server/config.h"

#define DOORS_MAX (2 * CONFIG_LISTEN_MAX)

struct door {
    int fd;
    bool loopback; /* only this machine can come in: a loopback address or a Unix socket */
    int port;      /* 0 for a Unix socket */
    char *path;    /* of the Unix socket, or NULL */
    dev_t device;  /* what lies at `path`, so that nobody else's is removed */
    ino_t inode;
    char url[128]; /* for people */
};

struct doors {
    struct door list[DOORS_MAX];
    size_t count;
};

/* Binds what one --listen says: "HOST:PORT", "[V6]:PORT", "unix:PATH"; "localhost" is both loopback addresses if the
 * machine has both. Adds to `doors`, which the caller closes after an error, too. */
int doors_add(struct doors *doors, const char *spec);

/* Closes all and removes the Unix sockets. */
void doors_close(struct doors *doors);

#endif
