package org.legodnn;

/** A profile is damaged, incomplete, or was measured on another store or device. */
public class ProfileException extends LegoException {
    private static final long serialVersionUID = 1;

    /** @param message what is wrong, where, and what to do */
    public ProfileException(String message) {
        super(message);
    }

    /**
     * @param message what is wrong, where, and what to do
     * @param cause what led to it
     */
    public ProfileException(String message, Throwable cause) {
        super(message, cause);
    }
}
