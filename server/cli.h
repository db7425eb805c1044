/* The sub-commands of the one program. Each gets the words after its name and answers an exit code of sysexits.h. */
#ifndef SERVER_CLI_H
#define SERVER_CLI_H

int cli_serve(int argc, char **argv);
int cli_import(int argc, char **argv);
int cli_cat(int argc, char **argv);
int cli_get(int argc, char **argv);
int cli_views(int argc, char **argv);
int cli_verify(int argc, char **argv);
int cli_healthcheck(int argc, char **argv);

/* The exit code of sysexits.h that fits a code of err.h. */
int cli_exit_code(int err);

/* One line on stderr, "sluice COMMAND: detail", and the exit code. */
int cli_fail(const char *command, int err);

#endif
