package org.legodnn;

import java.io.File;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

import org.legodnn.internal.json.JsonException;

/**
 * A store that has been opened and verified: the folder that the offline stage writes and a device reads. Its format is
 * described in docs/store.md.
 */
public final class Store {
    private static final String MANIFEST = "manifest.json";
    private static final String REMEDY =
            "build the store again with `legodnn build`, or copy it again from where it was built";

    private final File folder;
    private final String id;
    private final StoreManifest manifest;
    /** Size and time of files that were verified, by path. */
    private final Map<String, String> seen = new ConcurrentHashMap<>();

    private Store(File folder, String id, StoreManifest manifest) {
        this.folder = folder;
        this.id = id;
        this.manifest = manifest;
    }

    /**
     * Open a store and verify every file's path, size and hash.
     * For a worker thread.
     *
     * @param folder the store's folder
     * @throws StoreException the folder is no store, or any file is missing, truncated, altered or outside it
     */
    public static Store open(File folder) {
        if (!folder.isDirectory()) {
            throw new StoreException(folder + " is not a folder; `legodnn build --help` shows how to build a store");
        }
        File file = new File(folder, MANIFEST);
        byte[] content;
        String text;
        try {
            if (!file.getCanonicalPath().startsWith(folder.getCanonicalPath() + File.separator)) {
                throw new StoreException(file + " leads out of the store; " + REMEDY);
            }
            content = Documents.read(file);
        } catch (IOException e) {
            throw new StoreException(folder + " is not a store: cannot read " + MANIFEST + " (" + e.getMessage() + "); "
                    + REMEDY, e);
        }
        try {
            text = Documents.utf8(content);
        } catch (IOException e) {
            throw new StoreException(file + " is not UTF-8 text; " + REMEDY, e);
        }
        StoreManifest manifest;
        try {
            manifest = StoreManifest.parse(text);
        } catch (JsonException e) {
            throw new StoreException(file + ": " + e.getMessage() + "; " + REMEDY, e);
        }
        Store store = new Store(folder, Documents.hex(Documents.sha256().digest(content)), manifest);
        for (Segment segment : manifest.segments) {
            for (Option option : segment.options) {
                store.verifiedFile(option);
            }
        }
        return store;
    }

    /** SHA-256 of manifest.json; since that holds the hash of every file, it identifies the whole store. */
    public String id() {
        return id;
    }

    /** The model's name. */
    public String name() {
        return manifest.name;
    }

    /** The folder. */
    public File folder() {
        return folder;
    }

    /** What the store holds. */
    public StoreManifest manifest() {
        return manifest;
    }

    /** The segments that have options to choose from, in topological order. */
    public List<Segment> blocks() {
        return manifest.blocks();
    }

    /**
     * An option's {@code .tflite}, hashed again if it changed on disk since it was last verified.
     * For a worker thread.
     *
     * @throws StoreException missing, outside the store, or not what the manifest says
     */
    public File verifiedFile(Option option) {
        File file = new File(folder, option.file);
        try {
            boolean inside = file.getCanonicalPath().startsWith(folder.getCanonicalPath() + File.separator);
            if (!inside || !file.isFile()) {
                throw new StoreException(file + (inside ? " is missing; " : " leads out of the store; ") + REMEDY);
            }
            String state = option.sha256 + " " + file.length() + " " + file.lastModified();
            if (state.equals(seen.get(option.file))) {
                return file;
            }
            if (file.length() != option.bytes) {
                throw new StoreException(
                        file + " has " + file.length() + " bytes instead of " + option.bytes + "; " + REMEDY);
            }
            if (!Documents.sha256(file).equals(option.sha256)) {
                throw new StoreException(
                        file + " does not have the hash in " + MANIFEST + ": it was altered; " + REMEDY);
            }
            seen.put(option.file, state);
            return file;
        } catch (IOException e) {
            throw new StoreException("cannot read " + file + ": " + e.getMessage() + "; " + REMEDY, e);
        }
    }

    @Override
    public String toString() {
        int options = 0;
        for (Segment block : blocks()) {
            options += block.options.size();
        }
        return "Store(" + name() + ", " + blocks().size() + " blocks, " + options + " options, " + folder + ")";
    }
}
