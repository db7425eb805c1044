#include "server/cli.h"

#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/cli_common.h"
#include "store/err.h"

#define WAIT_S 5
#define HOST_MAX 256
#define UNWELL 1 /* what Docker's HEALTHCHECK wants */

/* Where to knock: a Unix socket or a host and port. */
struct door {
    char socket_path[sizeof((struct sockaddr_un *)NULL)->sun_path];
    char host[HOST_MAX];
    char port[16];
};

/* "HOST:PORT" or "[V6]:PORT" of `len` bytes. */
static int split_host(const char *text, size_t len, struct door *door)
{
    const char *colon = memrchr(text, ':', len);
    if (len > 0 && text[len - 1] == ']') colon = NULL;
    size_t host_len = colon != NULL ? (size_t)(colon - text) : len;
    size_t port_len = colon != NULL ? len - host_len - 1 : 0;
    const char *host = text;
    if (host_len >= 2 && host[0] == '[' && host[host_len - 1] == ']') {
        host++;
        host_len -= 2;
    }
    if (host_len >= HOST_MAX || port_len >= sizeof door->port)
        return err_set(ERR_ARG, "\"%.*s\" is not HOST:PORT", (int)(len < 200 ? len : 200), text);
    (void)snprintf(door->host, sizeof door->host, "%.*s", (int)host_len, host);
    (void)snprintf(door->port, sizeof door->port, "%.*s", (int)port_len, port_len > 0 ? colon + 1 : "");
    if (door->port[0] == '\0') (void)snprintf(door->port, sizeof door->port, "80");
    return OK;
}

static int parse_door(const char *text, struct door *door)
{
    if (strncmp(text, "unix:", 5) == 0) {
        if (strlen(text + 5) >= sizeof door->socket_path)
            return err_set(ERR_ARG, "%.200s: the path of a Unix socket is shorter than that", text);
        (void)snprintf(door->socket_path, sizeof door->socket_path, "%s", text + 5);
        return OK;
    }
    static const char scheme[] = "http://";
    if (strncmp(text, scheme, sizeof scheme - 1) == 0) text += sizeof scheme - 1;
    if (strstr(text, "://") != NULL) return err_set(ERR_ARG, "%.200s: http:// and unix: only", text);
    return split_host(text, strcspn(text, "/"), door);
}

/* A server that listens everywhere is asked on loopback; one that chose its port wrote it down. */
static int settle_door(const struct config *config, struct door *door)
{
    if (strcmp(door->host, "0.0.0.0") == 0 || strcmp(door->host, "*") == 0 || door->host[0] == '\0')
        (void)snprintf(door->host, sizeof door->host, "127.0.0.1");
    if (strcmp(door->host, "::") == 0) (void)snprintf(door->host, sizeof door->host, "::1");
    if (strcmp(door->port, "0") != 0) return OK;
    if (config->port_file == NULL) return err_set(ERR_ARG, "port 0 says nothing: give --port-file or --url");
    FILE *file = fopen(config->port_file, "re");
    if (file == NULL) return err_errno(config->port_file, "open");
    int got = fscanf(file, "%15s", door->port);
    (void)fclose(file);
    return got == 1 ? OK : err_set(ERR_ARG, "%s: holds no port", config->port_file);
}

static int find_door(const struct config *config, struct door *ret_door)
{
    *ret_door = (struct door){ 0 };
    int err = parse_door(config->url != NULL ? config->url : config->listen[0], ret_door);
    return err == OK && ret_door->socket_path[0] == '\0' ? settle_door(config, ret_door) : err;
}

static int connect_fd(int family, const struct sockaddr *address, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    const struct timeval wait = { .tv_sec = WAIT_S };
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(fd, address, len) == 0) return fd;
    (void)close(fd);
    return -1;
}

static int connect_tcp(const struct door *door, int *ret_fd)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(door->host, door->port, &hints, &found);
    if (rc != 0) return err_set(ERR_IO, "%s:%s: %s", door->host, door->port, gai_strerror(rc));
    int fd = -1;
    for (const struct addrinfo *one = found; fd < 0 && one != NULL; one = one->ai_next)
        fd = connect_fd(one->ai_family, one->ai_addr, one->ai_addrlen);
    freeaddrinfo(found);
    if (fd < 0) return err_set(ERR_IO, "%s:%s: nobody answers", door->host, door->port);
    *ret_fd = fd;
    return OK;
}

static int connect_door(const struct door *door, int *ret_fd)
{
    if (door->socket_path[0] == '\0') return connect_tcp(door, ret_fd);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, door->socket_path, sizeof address.sun_path);
    int fd = connect_fd(AF_UNIX, (const struct sockaddr *)&address, sizeof address);
    if (fd < 0) return err_errno(door->socket_path, "nobody answers");
    *ret_fd = fd;
    return OK;
}

/* The status of GET /healthz. */
static int ask(int fd, int *ret_status)
{
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char answer[64];
    size_t len = 0;
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1)
        return err_errno("/healthz", "asking");
    while (len < sizeof "HTTP/1.1 200" - 1) {
        ssize_t got = recv(fd, answer + len, sizeof answer - 1 - len, 0);
        if (got < 0) return err_errno("/healthz", "waiting for the answer");
        if (got == 0) return err_set(ERR_IO, "/healthz: the connection ended without an answer");
        len += (size_t)got;
    }
    answer[len] = '\0';
    if (strncmp(answer, "HTTP/1.", 7) != 0) return err_set(ERR_IO, "/healthz: that is no HTTP server");
    *ret_status = (int)strtol(answer + 9, NULL, 10);
    return OK;
}

static int check(const struct config *config)
{
    struct door door;
    int fd = -1, status = 0;
    int err = find_door(config, &door);
    if (err == OK) err = connect_door(&door, &fd);
    if (err == OK) err = ask(fd, &status);
    if (fd >= 0) (void)close(fd);
    if (err == OK && status != 200) err = err_set(ERR_IO, "/healthz answers %d", status);
    return err;
}

int cli_healthcheck(int argc, char **argv)
{
    struct config config;
    int code = 0;
    if (!cli_begin(CONFIG_HEALTHCHECK, argc, argv, 0, &config, &code)) goto out;
    int err = check(&config);
    if (err != OK) {
        (void)cli_fail("healthcheck", err);
        code = UNWELL;
    }
out:
    config_free(&config);
    return code;
}
