#include "server/doors.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/send_buffer.h"
#include "store/err.h"

#define BACKLOG 1024

static int door_keep(struct doors *doors, const struct door *door)
{
    if (doors->count == DOORS_MAX) {
        (void)close(door->fd);
        return err_set(ERR_LIMIT, "more than %d listening sockets", DOORS_MAX);
    }
    doors->list[doors->count++] = *door;
    return OK;
}

/* ---- Unix sockets ---- */

/* A socket file that nobody listens at any more is left over from a process that died: it is removed. */
static int unix_clear(const char *path, const struct sockaddr_un *address)
{
    struct stat st;
    if (lstat(path, &st) != 0) return errno == ENOENT ? OK : err_errno(path, "listening");
    if (!S_ISSOCK(st.st_mode))
        return err_set(ERR_BUSY, "%s: is there already and is no socket: name another path", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return err_errno(path, "listening");
    int connected = connect(fd, (const struct sockaddr *)address, sizeof *address);
    bool refused = connected != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    if (!refused) return err_set(ERR_BUSY, "%s: another process listens there", path);
    return unlink(path) == 0 ? OK : err_errno(path, "removing a socket that nobody listens at");
}

static int unix_bind(int fd, const char *path, const struct sockaddr_un *address)
{
    /* Linux gives the file the mode of the socket: there is no moment at which others may connect */
    if (fchmod(fd, 0600) != 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) != 0 ||
        listen(fd, BACKLOG) != 0 || chmod(path, 0600) != 0)
        return err_errno(path, "listening");
    return OK;
}

static int unix_add(struct doors *doors, const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof address.sun_path)
        return err_set(ERR_ARG, "--listen unix:%s: a path of 1 to %zu bytes is wanted", path,
                       sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, len);
    int err = unix_clear(path, &address);
    if (err != OK) return err;
    struct door door = { .loopback = true };
    struct stat st = { 0 };
    door.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (door.fd < 0) return err_errno(path, "listening");
    err = unix_bind(door.fd, path, &address);
    if (err == OK && lstat(path, &st) != 0) err = err_errno(path, "listening");
    door.path = err == OK ? strdup(path) : NULL;
    if (err == OK && door.path == NULL) err = err_set(ERR_NOMEM, "out of memory");
    if (err != OK) {
        (void)close(door.fd);
        return err;
    }
    door.device = st.st_dev;
    door.inode = st.st_ino;
    (void)snprintf(door.url, sizeof door.url, "unix:%s", path);
    return door_keep(doors, &door);
}

/* ---- TCP ---- */

static bool address_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return ntohl(in.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, address, sizeof in6);
    return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

static bool address_any6(const struct sockaddr *address)
{
    struct sockaddr_in6 in6;
    if (address->sa_family != AF_INET6) return false;
    memcpy(&in6, address, sizeof in6);
    return IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr);
}

/* A bound, listening socket, or -1 and errno. */
static int tcp_socket(const struct addrinfo *address, bool only6)
{
    const int one = 1, only = only6;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    send_buffer_cap(fd);
    if (address->ai_family == AF_INET6) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) return fd;
    int number = errno;
    (void)close(fd);
    errno = number;
    return -1;
}

static void door_url(struct door *door, const struct sockaddr_storage *bound)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (bound->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, bound, sizeof in);
        door->port = ntohs(in.sin_port);
        (void)inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
        (void)snprintf(door->url, sizeof door->url, "http://%s:%d", strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1" : host,
                       door->port);
        return;
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, bound, sizeof in6);
    door->port = ntohs(in6.sin6_port);
    (void)inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof host);
    (void)snprintf(door->url, sizeof door->url, "http://[%s]:%d", strcmp(host, "::") == 0 ? "::1" : host, door->port);
}

static int tcp_bind(struct doors *doors, const char *spec, const struct addrinfo *address)
{
    struct sockaddr_storage bound = { 0 };
    socklen_t bound_len = sizeof bound;
    /* [::] takes IPv4, too, as people expect of "all addresses", unless another door has that already */
    bool both = address_any6(address->ai_addr);
    struct door door = { .fd = tcp_socket(address, !both), .loopback = address_loopback(address->ai_addr) };
    if (door.fd < 0 && both && errno == EADDRINUSE) door.fd = tcp_socket(address, true);
    if (door.fd < 0 && errno == EADDRINUSE)
        return err_set(ERR_BUSY, "--listen %s: another process listens there: choose another port", spec);
    if (door.fd < 0) return err_errno(spec, "listening");
    if (getsockname(door.fd, (struct sockaddr *)&bound, &bound_len) != 0) {
        int err = err_errno(spec, "listening");
        (void)close(door.fd);
        return err;
    }
    door_url(&door, &bound);
    return door_keep(doors, &door);
}

static int tcp_add(struct doors *doors, const char *spec, const char *host, const char *port)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed != 0) return err_set(ERR_ARG, "--listen %s: %s: %s", spec, host, gai_strerror(failed));
    int err = ERR_ARG;
    for (const struct addrinfo *address = found; address != NULL; address = address->ai_next) {
        err = tcp_bind(doors, spec, address);
        if (err == OK) break;
    }
    freeaddrinfo(found);
    return err;
}

/* Both addresses on one port; a machine without IPv6 has the one only. */
static int localhost_add(struct doors *doors, const char *spec, const char *port)
{
    char same[8];
    int err = tcp_add(doors, spec, "127.0.0.1", port);
    if (err != OK) return err;
    (void)snprintf(same, sizeof same, "%d", doors->list[doors->count - 1].port);
    (void)tcp_add(doors, spec, "::1", same);
    return OK;
}

static bool port_parse(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len <= 5 && strspn(text, "0123456789") == len && strtol(text, NULL, 10) <= 65535;
}

int doors_add(struct doors *doors, const char *spec)
{
    if (strncmp(spec, "unix:", 5) == 0) return unix_add(doors, spec + 5);
    char host[256];
    const char *colon = strrchr(spec, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - spec);
    bool literal = len > 2 && spec[0] == '[' && spec[len - 1] == ']';
    if (literal) {
        spec++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof host || !port_parse(colon + 1) || (!literal && memchr(spec, ':', len) != NULL))
        return err_set(ERR_ARG, "--listen %s: HOST:PORT (as 127.0.0.1:8990 or [::1]:8990) or unix:PATH is wanted",
                       literal ? spec - 1 : spec);
    memcpy(host, spec, len);
    host[len] = '\0';
    if (literal) spec--;
    return strcmp(host, "localhost") == 0 ? localhost_add(doors, spec, colon + 1)
                                          : tcp_add(doors, spec, host, colon + 1);
}

static void door_remove_file(struct door *door)
{
    struct stat st;
    if (lstat(door->path, &st) == 0 && st.st_dev == door->device && st.st_ino == door->inode) (void)unlink(door->path);
    free(door->path);
    door->path = NULL;
}

void doors_close(struct doors *doors)
{
    for (size_t i = 0; i < doors->count; i++) {
        (void)close(doors->list[i].fd);
        if (doors->list[i].path != NULL) door_remove_file(&doors->list[i]);
    }
    doors->count = 0;
}
