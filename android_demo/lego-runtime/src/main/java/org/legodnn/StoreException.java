package org.legodnn;

/** A store is damaged, unreadable, or not a store. */
public class StoreException extends LegoException {
    private static final long serialVersionUID = 1;

    /** @param message what is wrong, where, and what to do */
    public StoreException(String message) {
        super(message);
    }

    /**
     * @param message what is wrong, where, and what to do
     * @param cause what led to it
     */
    public StoreException(String message, Throwable cause) {
        super(message, cause);
    }
}
