package org.legodnn.demo;

import android.content.Context;
import java.io.File;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.legodnn.BlockExecutor;
import org.legodnn.Device;
import org.legodnn.Profile;
import org.legodnn.ProfileException;
import org.legodnn.Store;

/** The profiles that this device has measured itself, kept in the app's files. */
final class OwnProfiles {
    private final File folder;

    OwnProfiles(Context context) {
        folder = context.getFilesDir();
    }

    private File file(Store store) {
        return new File(folder, store.name() + ".profile.json");
    }

    /** Those of some stores, by model; null unless there is one of this device for each. */
    Map<String, Profile> load(List<Store> stores, BlockExecutor executor) {
        Map<String, Profile> found = new LinkedHashMap<>();
        for (Store store : stores) {
            File file = file(store);
            if (!file.exists()) {
                return null;
            }
            try {
                Profile profile = Profile.load(file);
                profile.checkStore(store);
                profile.checkDevice(Device.fingerprint(executor));
                found.put(store.name(), profile);
            } catch (ProfileException e) {
                return null; // of another version of the app or of its stores: to be measured again
            }
        }
        return found;
    }

    /** Keep one for each store. */
    void save(List<Store> stores, Map<String, Profile> profiles) {
        for (Store store : stores) {
            profiles.get(store.name()).save(file(store));
        }
    }
}
