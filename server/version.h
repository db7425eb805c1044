/* The version of the program, as --version, /status and the specifications say it. */
#ifndef SERVER_VERSION_H
#define SERVER_VERSION_H

#define SLUICE_VERSION "0.1.0"

#endif
