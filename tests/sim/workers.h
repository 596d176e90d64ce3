/* Runs of many seeds, in a process a core. */
#ifndef SIM_WORKERS_H
#define SIM_WORKERS_H

#include <stdint.h>

/* For main: NAME [SEEDS [FIRST]]; in the environment SIM_ALONE: in this process, SIM_SECONDS: with
 * seeds from the clock, until so much of it has passed. run ends the process with an exit code when
 * a seed fails. The program's exit code. */
int workers_main(int argc, char **argv, uint64_t seeds, void (*run)(uint64_t seed));

#endif
