/* A library named libjvm.so in which there never is a JVM. */
int JNI_GetCreatedJavaVMs(void **vms, int room, int *count) { (void)vms; (void)room; *count = 0; return 0; }
void AsyncGetCallTrace(void *trace, int depth, void *context) { (void)trace; (void)depth; (void)context; }
