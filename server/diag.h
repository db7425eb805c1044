/* Diagnostics: one line an event on stderr, `time=… level=… event=… key=value`. Never called "log": here a log is the data. Texts from outside are
 * quoted and escaped. Any thread. Only server/ calls this. */
#ifndef SERVER_DIAG_H
#define SERVER_DIAG_H

/* fmt gives the rest of the line, already as key=value pairs: diag_info("started", "port=%d", port). Use diag_quote for texts. */
void diag_info(const char *event, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void diag_warn(const char *event, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void diag_error(const char *event, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define DIAG_QUOTE_MAX 300
/* `text` in quotes with quotes, backslashes and control characters escaped, cut to fit; answers out. */
const char *diag_quote(const char *text, char out[DIAG_QUOTE_MAX]);

#endif
