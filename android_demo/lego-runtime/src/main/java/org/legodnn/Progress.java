package org.legodnn;

/** Is told how far a long task has come. */
public interface Progress {
    /**
     * @param what what is done now, for people
     * @param done units of work done
     * @param total units of work in all
     * @return whether to go on; false ends the task with a ProfileException
     */
    boolean step(String what, int done, int total);
}
