/* CPU time and memory of processes, from /proc. */
#ifndef PERF_PROC_H
#define PERF_PROC_H

#include <stdbool.h>
#include <stdint.h>

struct proc_sample {
    uint64_t cpu_ns; /* user and system, all threads, also those that ended */
    uint64_t rss;    /* octets */
    uint64_t anon;   /* of these, what is not of files or shared: memory of its own */
};

/* The sum over all pids; a process that is gone counts nothing. False if none could be read. */
bool proc_sample(const int *pids, uint32_t npids, struct proc_sample *sample_);

/* Keeps the larger RSS and anon of both. */
void proc_peak(struct proc_sample *peak, const struct proc_sample *sample);

/* CPU time of this process in ns. */
uint64_t proc_own_cpu(void);

/* Lets this process have as many descriptors as the system allows; returns how many. */
uint64_t proc_raise_files(void);

#endif
