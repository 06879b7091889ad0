package org.legodnn.demo;

import android.content.Context;
import java.io.File;
import org.legodnn.BlockExecutor;
import org.legodnn.Device;
import org.legodnn.LegoModel;
import org.legodnn.Profile;
import org.legodnn.ProfileException;
import org.legodnn.Workload;
import org.legodnn.WorkloadException;

/** The profiles that this device has measured itself, kept in the app's files. */
final class OwnProfiles {
    private final File folder;

    OwnProfiles(Context context) {
        folder = context.getFilesDir();
    }

    private File file(LegoModel model) {
        return new File(folder, model.store().name() + ".profile.json");
    }

    /** The workload with those of its models; null unless there is one of this device for each. */
    Workload load(Workload workload, BlockExecutor executor) {
        Workload found = workload;
        for (LegoModel model : workload.models()) {
            try {
                Profile profile = Profile.load(file(model));
                profile.checkDevice(Device.fingerprint(executor));
                found = found.withModel(model.withProfile(profile));
            } catch (ProfileException | WorkloadException e) {
                return null; // not measured yet, or for another version of the app, of its stores or of its threads
            }
        }
        return found;
    }

    /** Keep those of all models. */
    void save(Workload workload) {
        for (LegoModel model : workload.models()) {
            model.profile().save(file(model));
        }
    }
}
