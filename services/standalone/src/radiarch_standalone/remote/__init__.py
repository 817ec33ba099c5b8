"""Commands that use a Radiarch server, this machine's or another one."""
